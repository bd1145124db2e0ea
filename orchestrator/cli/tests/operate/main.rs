//! What an operator does at a terminal, with the program itself: alone, and before a real stack.

mod alone;
mod help;
mod program;
mod stack;
