//! The agent's program: command line, service, serial port, and the system by its functions.
//!
//! | module | what |
//! |---|---|
//! | `api` | the functions and structures of Windows |
//! | `runtime` | what a program without a C library needs: entry, heap, panics |
//! | `text` | UTF-16 text |
//! | `options` | the command line |
//! | `program` | the life of the program: in a console, or as a service |
//! | `serial` | the serial port |
//! | `layer` | the functions that reach a driver, which can be those of a library of a test |
//! | `kernel_streaming` | filters, pins and their requests |
//! | `devices` | devices and drivers in the system's books |
//! | `files` | files, programs, the end of the system |
//! | `machine` | all of that, as a session needs it |

mod api;
mod devices;
mod files;
mod kernel_streaming;
mod layer;
mod machine;
mod options;
mod program;
mod runtime;
mod serial;
mod text;
