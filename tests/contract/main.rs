//! docs/asyncapi.yaml, the contract of the messages for programs: what is sent is what it says.

mod document;
mod samples;
mod stack;
mod types;
