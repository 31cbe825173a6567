//! What containers printed.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt as _;

use super::Engine;

/// A line, with its time as the engine wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// RFC 3339.
    pub(crate) time: String,
    /// Without its end.
    pub(crate) text: String,
}

impl Engine {
    /// The last lines of a container, as far as the engine still has them.
    pub(crate) async fn last_lines(&self, id: &str, number: usize) -> Vec<Line> {
        let options = LogsOptions {
            stdout: true,
            stderr: true,
            timestamps: true,
            tail: number.to_string(),
            ..Default::default()
        };
        let mut frames = self.docker.logs(id, Some(options));
        let mut text = String::new();
        while let Some(frame) = frames.next().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    tracing::warn!(%error, container = id, "the end of a log could not be read");
                    break;
                }
            };
            let (LogOutput::StdErr { message }
            | LogOutput::StdOut { message }
            | LogOutput::StdIn { message }
            | LogOutput::Console { message }) = frame;
            text.push_str(&String::from_utf8_lossy(&message));
        }
        text.lines().map(line).collect()
    }
}

fn line(text: &str) -> Line {
    let (time, text) = text.split_once(' ').unwrap_or(("", text));
    Line {
        time: time.to_owned(),
        text: text.to_owned(),
    }
}
