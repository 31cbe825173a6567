//! What lies in a container, and what is started in it.

use bollard::exec::{CreateExecOptions, StartExecOptions};
use bollard::query_parameters::DownloadFromContainerOptions;
use futures_util::StreamExt as _;

use super::{Engine, Error};

/// The size of a tar file's blocks.
const BLOCK: usize = 512;
/// How much of a folder is read.
const MOST_BYTES: usize = 256 << 20;

impl Engine {
    /// The names of the files in a folder of a container; none where there is no such folder.
    pub(crate) async fn names_in(&self, id: &str, folder: &str) -> Vec<String> {
        let options = DownloadFromContainerOptions {
            path: folder.to_owned(),
        };
        let mut pieces = self.docker.download_from_container(id, Some(options));
        let mut reader = Reader::default();
        let mut read = 0;
        while let Some(Ok(piece)) = pieces.next().await {
            read += piece.len();
            if read > MOST_BYTES {
                break;
            }
            reader.take(&piece);
        }
        reader.names
    }

    /// Starts a program in a running container, and doesn't wait for it.
    pub(crate) async fn execute(&self, id: &str, program: &str) -> Result<(), Error> {
        let options = CreateExecOptions {
            cmd: Some(vec![program.to_owned()]),
            ..Default::default()
        };
        let created = self.docker.create_exec(id, options).await?;
        let options = StartExecOptions {
            detach: true,
            ..Default::default()
        };
        self.docker.start_exec(&created.id, Some(options)).await?;
        Ok(())
    }
}

/// Reads the names of regular files from a tar stream, as it comes.
#[derive(Debug, Default)]
struct Reader {
    block: Vec<u8>,
    /// How many bytes of a file's content are still to pass over.
    rest: usize,
    names: Vec<String>,
}

impl Reader {
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let passed = self.rest.min(bytes.len());
                self.rest -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            let wanted = (BLOCK - self.block.len()).min(bytes.len());
            self.block.extend_from_slice(&bytes[..wanted]);
            bytes = &bytes[wanted..];
            if self.block.len() == BLOCK {
                self.header();
                self.block.clear();
            }
        }
    }

    fn header(&mut self) {
        let text = |bytes: &[u8]| {
            let end = bytes
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(bytes.len());
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        };
        let size = text(&self.block[124..136]);
        let size = usize::from_str_radix(size.trim(), 8).unwrap_or(0);
        self.rest = size.div_ceil(BLOCK) * BLOCK;
        let path = text(&self.block[..100]);
        let name = path
            .split_once('/')
            .map(|(_, name)| name)
            .unwrap_or_default();
        let is_plain = !name.is_empty() && !name.contains('/');
        if matches!(self.block[156], b'0' | 0) && is_plain {
            self.names.push(name.to_owned());
        }
    }
}
