//! The command line.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use dmus_agent::session::Config;

use super::{api, text};

/// What `--help` prints, and a wrong command line.
pub(super) const USAGE: &str = "\
dmus-agent [OPTIONS]             serve the harness until it asks for the end
dmus-agent --install [OPTIONS]   install the service with these options, and start it
dmus-agent --remove              remove the service

  --port NAME       the serial port (COM1)
  --device ID       the beginning of the device's hardware id (PCI\\VEN_1AF4&DEV_1067)
  --driver PATH     the driver's installed image (%SystemRoot%\\System32\\drivers\\dmuscard.sys)
  --layer DLL       a library with the functions that reach drivers and devices, in place of the system's: for tests
  --service         run as the service manager starts it
";

/// What the program is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Serve,
    Service,
    Install,
    Remove,
    Help,
}

/// The options.
pub(super) struct Options {
    pub(super) action: Action,
    pub(super) port: String,
    pub(super) layer: Option<String>,
    pub(super) config: Config,
}

/// Splits a command line at spaces outside of quotation marks. Paths have no quotation marks in them.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut begun, mut quoted) = (String::new(), false, false);
    for character in line.chars() {
        match character {
            '"' => (begun, quoted) = (true, !quoted),
            ' ' | '\t' if !quoted => {
                if core::mem::take(&mut begun) {
                    words.push(core::mem::take(&mut word));
                }
            }
            other => {
                begun = true;
                word.push(other);
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

/// Returns the program's command line.
#[allow(unsafe_code, reason = "the command line is a pointer")]
pub(super) fn command_line() -> String {
    // SAFETY: the text ends with a zero, and stays.
    let line = unsafe {
        let start = api::GetCommandLineW();
        let length = (0..).take_while(|index| *start.add(*index) != 0).count();
        core::slice::from_raw_parts(start, length)
    };
    text::narrow(line)
}

impl Options {
    /// Reads the words behind the program's name.
    ///
    /// # Errors
    /// A text when a word is no option, or an option lacks its value.
    pub(super) fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self {
            action: Action::Serve,
            port: "COM1".into(),
            layer: None,
            config: Config {
                hardware_id: "PCI\\VEN_1AF4&DEV_1067".into(),
                driver: "%SystemRoot%\\System32\\drivers\\dmuscard.sys".into(),
            },
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().cloned().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--port" => options.port = value()?,
                "--device" => options.config.hardware_id = value()?,
                "--driver" => options.config.driver = value()?,
                "--layer" => options.layer = Some(value()?),
                "--service" => options.action = Action::Service,
                "--install" => options.action = Action::Install,
                "--remove" => options.action = Action::Remove,
                "--help" => options.action = Action::Help,
                other => return Err(format!("{other} is no option")),
            }
        }
        Ok(options)
    }

    /// Returns the command line of the service.
    pub(super) fn service_line(&self, program: &str) -> String {
        let mut line = format!("\"{program}\" --service");
        let values = [
            ("--port", Some(&self.port)),
            ("--device", Some(&self.config.hardware_id)),
            ("--driver", Some(&self.config.driver)),
            ("--layer", self.layer.as_ref()),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                line += &[" ", name, " \"", value, "\""].concat();
            }
        }
        line
    }
}
