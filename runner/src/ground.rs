//! What every shape of running needs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aws::Names;
use crate::config::Config;
use crate::engine::{self, Engine, Line, Pulls};
use crate::registry::{Client, Leases, Pinned};
use crate::store::Store;

/// How much of what a container printed is kept.
const MOST_LOG_BYTES: usize = 1 << 20;
/// Of one line.
const MOST_LINE_BYTES: usize = 16 << 10;
/// How often is looked for old logs.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// What every shape of running needs. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) config: Arc<Config>,
    pub(crate) names: Names,
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    pub(crate) registry: Client,
    pub(crate) leases: Leases,
    pub(crate) pulls: Pulls,
    /// Where the front door is.
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    /// What goes on in the background, so that the end can wait for it.
    pub(crate) tracker: TaskTracker,
}

impl Ground {
    /// The address of a host of its own on the front door.
    pub(crate) fn hosted(&self, kind: &str, id: &str) -> String {
        let Self {
            config, address, ..
        } = self;
        format!(
            "http://{id}.{kind}.{}:{}",
            config.server.domain,
            address.port()
        )
    }

    /// Pulls an image, where the engine doesn't have it, with credentials for this pull.
    pub(crate) async fn pull(&self, image: &Pinned) -> Result<(), engine::Error> {
        let name = image.to_string();
        let turn = self.pulls.turn(&name);
        let _turn = turn.lock().await;
        if self.engine.has(&name).await {
            return Ok(());
        }
        let credentials = self.registry.credentials().await;
        let credentials = credentials.map_err(|error| engine::Error::Pull(error.to_string()))?;
        self.engine
            .pull(&image.name, &image.digest, credentials)
            .await
    }

    /// Keeps what a container printed before it is removed.
    pub(crate) async fn keep_log(&self, name: &str, lines: &[Line]) {
        let text = kept_lines(lines);
        let folder = self.config.server.data.join("logs");
        let path = folder.join(format!("{name}.log"));
        let written = async {
            tokio::fs::create_dir_all(&folder).await?;
            tokio::fs::write(path, text).await
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, name, "a log can't be kept");
        }
    }

    /// Removes old logs, until told to stop.
    pub(crate) async fn forget_logs(self) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(FORGET_EVERY) => {}
            }
            if let Err(error) = self.forget_old_logs().await {
                tracing::warn!(%error, "old logs can't be removed");
            }
        }
    }

    async fn forget_old_logs(&self) -> std::io::Result<()> {
        let folder = self.config.server.data.join("logs");
        if !tokio::fs::try_exists(&folder).await? {
            return Ok(());
        }
        let keep = self.config.server.keep_logs.duration();
        let mut entries = tokio::fs::read_dir(folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            let age = entry.metadata().await?.modified()?.elapsed();
            if age.is_ok_and(|age| age > keep) {
                tokio::fs::remove_file(entry.path()).await?;
            }
        }
        Ok(())
    }
}

/// The last lines, as many as fit. A long one is cut, so that none pushes out the others.
fn kept_lines(lines: &[Line]) -> String {
    let mut left = MOST_LOG_BYTES;
    let mut kept = Vec::new();
    for line in lines.iter().rev() {
        let whole = line.text.as_str();
        let mut end = whole.len().min(MOST_LINE_BYTES);
        while !whole.is_char_boundary(end) {
            end -= 1;
        }
        let shown = &whole[..end];
        let cut = if shown.len() < whole.len() { "…" } else { "" };
        let text = format!("{} {shown}{cut}\n", line.time);
        let Some(rest) = left.checked_sub(text.len()) else {
            break;
        };
        left = rest;
        kept.push(text);
    }
    kept.reverse();
    kept.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_hides_no_other_and_the_last_ones_are_kept() {
        let line = |text: String| Line {
            time: "2026-01-01T00:00:00Z".into(),
            text,
        };
        let endless = "é".repeat(MOST_LOG_BYTES);
        let kept = kept_lines(&[line("first".into()), line(endless), line("last".into())]);
        assert!(
            kept.len() < 2 * MOST_LINE_BYTES && kept.starts_with("2026-01-01T00:00:00Z first\n")
        );
        assert!(kept.ends_with("é…\n2026-01-01T00:00:00Z last\n"));
        let many: Vec<_> = (0..1000)
            .map(|n| line(format!("{n}{}", "x".repeat(5000))))
            .collect();
        let kept = kept_lines(&many);
        assert!(kept.len() <= MOST_LOG_BYTES && kept.contains("Z 999x") && !kept.contains("Z 0x"));
    }
}
