//! A real browser, as an operator has one: Chromium by WebDriver.

mod browser;
mod driver;

pub use browser::{Browser, Excuse, Look};
