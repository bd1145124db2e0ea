//! An append-only file of JSON lines. A line is written in one call before its answer goes out, so
//! a killed process loses nothing that was answered; a line torn by the kill was never answered and
//! is cut off at the next start.

use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read or write the state file {path}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("line {line} of the state file {path} is not what this program writes")]
    Line { path: PathBuf, line: usize, source: serde_json::Error },
}

pub(crate) struct Journal {
    file: File,
    path: PathBuf,
}

impl Journal {
    /// The journal, and every entry that was written whole.
    pub(crate) fn open<E: DeserializeOwned>(path: &Path) -> Result<(Self, Vec<E>), Error> {
        let in_file = |source| Error::File { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(in_file)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(in_file)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).map_err(in_file)?;
        file.seek(SeekFrom::End(0)).map_err(in_file)?;
        let entries = bytes[..whole]
            .split(|byte| *byte == b'\n')
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
            .map(|(at, line)| {
                serde_json::from_slice(line).map_err(|source| Error::Line {
                    path: path.to_owned(),
                    line: at + 1,
                    source,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok((Journal { file, path: path.to_owned() }, entries))
    }

    /// Returns once the operating system has the whole line; if it took only a part, the part is
    /// cut off again so that the next line does not continue it.
    pub(crate) fn append<E: Serialize>(&mut self, entry: &E) -> Result<(), Error> {
        let in_file = |source| Error::File { path: self.path.clone(), source };
        let mut line =
            serde_json::to_vec(entry).map_err(|source| in_file(std::io::Error::other(source)))?;
        line.push(b'\n');
        let start = self.file.stream_position().map_err(in_file)?;
        let written = self.file.write_all(&line);
        if written.is_err() {
            self.file.set_len(start).map_err(in_file)?;
            self.file.seek(SeekFrom::Start(start)).map_err(in_file)?;
        }
        written.map_err(in_file)
    }
}
