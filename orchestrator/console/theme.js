// The colour scheme: as the system has it, unless the reader chose. A plain script, run before
// the first paint.

(() => {
  const order = ["system", "light", "dark"];
  const root = document.documentElement;
  const chosen = () => {
    try {
      return localStorage.getItem("console.theme") ?? "system";
    } catch {
      return "system";
    }
  };
  const apply = (theme) => {
    if (theme === "system") root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", theme);
    const button = document.getElementById("theme");
    if (!button) return;
    button.textContent = `Theme: ${theme}`;
  };
  apply(chosen());
  document.addEventListener("DOMContentLoaded", () => {
    apply(chosen());
    document.getElementById("theme").onclick = () => {
      const next = order[(order.indexOf(chosen()) + 1) % order.length];
      try {
        localStorage.setItem("console.theme", next);
      } catch {
        // Private windows forget it; the page still changes.
      }
      apply(next);
    };
  });
})();
