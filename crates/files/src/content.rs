//! What a file is, by its content and its name, and its bytes without compression. The content decides; a name that
//! contradicts it is an error, as the file is then not what its writer meant.

use crate::error::{Error, Fault, quoted};
use crate::source;
use flate2::bufread::GzDecoder;
use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{BufReader, Chain, Cursor, ErrorKind, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use websessions_core::files::Source;
use zstd::stream::read::Decoder as ZstdDecoder;

/// The longest row, in bytes. A longer one is no page view, and memory stays bounded whatever a file unpacks to.
pub const LONGEST_ROW: usize = 16 << 20;
/// What some writers begin a file of UTF-8 with.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Bytes that are read at once, at least.
const CHUNK: usize = 256 << 10;
/// Bytes in which the first character that is not white space is looked for.
const SNIFFED: u64 = 4096;
/// Bytes by which it is known what is compressed how.
const LONGEST_MAGIC: u64 = 4;
/// Bytes that are shown of what can't be read, beside these.
const SHOWN: u64 = 16;
const FOLLOWS: &str = "something else follows what is compressed";
/// The largest window of zstd that is unpacked, as a power of two: 128 MiB, what its own tool takes unasked.
const ZSTD_WINDOW: u32 = 27;

/// A byte order mark begins a file: within one, another file begins.
pub(crate) fn glued_by_mark(file: &str, row: u64, line: u64) -> Error {
    let message = "a byte order mark, with which a file begins: files were glued together";
    Error::new(Fault::Damaged, file, message).at(row, Some(line)).with_hint("load the files one by one")
}

/// The kinds of files whose rows are lines or objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Csv,
    NewlineDelimitedJson,
    JsonArray,
}

/// A file as it was when it was opened.
pub(crate) struct Opened {
    file: File,
    before: Metadata,
}

impl Opened {
    pub(crate) fn size(&self) -> u64 {
        self.before.len()
    }

    /// Checks that nobody has written to the file since: what was read may be half of it.
    pub(crate) fn check(&self, name: &str) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error::new(Fault::Unreadable, name, error.to_string());
        let now = self.file.metadata().map_err(failed)?;
        if now.len() == self.before.len() && now.modified().ok() == self.before.modified().ok() {
            return Ok(());
        }
        let message =
            format!("the file was written to while it was read: it had {} bytes, and has {}", self.size(), now.len());
        Err(Error::new(Fault::Damaged, name, message).with_hint("load it once it is written to its end"))
    }
}

/// The content of an opened file.
pub(crate) enum Content {
    Text(Kind, Input),
    Parquet(File),
}

/// Bytes of a file that have been read, before they were unpacked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

struct Counted<Inner> {
    inner: Inner,
    counter: Counter,
}

impl<Inner: Read> Read for Counted<Inner> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(into)?;
        self.counter.0.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

type Bytes = Box<dyn Read + Send>;

/// The first bytes, and a reader of all.
fn peek(mut reader: Bytes, length: u64) -> std::io::Result<(Vec<u8>, Bytes)> {
    let mut first = Vec::new();
    reader.by_ref().take(length).read_to_end(&mut first)?;
    Ok((first.clone(), Box::new(Cursor::new(first).chain(reader))))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    Gzip,
    Zstd,
}

/// How the members of gzip and the frames of zstd begin, with what counts of the first byte. The last is a frame that is to be
/// skipped, with which parallel compressors begin.
const MAGIC: [(Compression, u8, &[u8]); 3] = [
    (Compression::Gzip, 0xff, &[0x1f, 0x8b]),
    (Compression::Zstd, 0xff, &[0x28, 0xb5, 0x2f, 0xfd]),
    (Compression::Zstd, 0xf0, &[0x50, 0x2a, 0x4d, 0x18]),
];

/// Whether bytes are as these begin, as far as both go.
fn agree(bytes: &[u8], mask: u8, magic: &[u8]) -> bool {
    let begins = bytes.first().is_some_and(|first| first & mask == magic[0]);
    begins && bytes.iter().zip(magic).skip(1).all(|(byte, expected)| byte == expected)
}

fn compression_of(first: &[u8]) -> Option<Compression> {
    let found = MAGIC.iter().find(|(_, mask, magic)| first.len() >= magic.len() && agree(first, *mask, magic));
    found.map(|(compression, ..)| *compression)
}

/// Whether these are all bytes that are left, and the first ones of a member whose other ones were cut off.
fn is_cut(compression: Compression, left: &[u8]) -> bool {
    let mut cut = MAGIC.iter().filter(|(of, _, magic)| *of == compression && left.len() < magic.len());
    cut.any(|(_, mask, magic)| agree(left, *mask, magic))
}

/// What gzip calls members, and zstd frames: one after the other, any number of them. Each is unpacked by itself, so that what
/// follows one and begins no other is told from one that was cut off.
struct Members {
    compression: Compression,
    member: Option<Member>,
}

/// What is still to be unpacked, after the bytes that were looked at.
type Rest = Chain<Cursor<Vec<u8>>, BufReader<Bytes>>;

enum Member {
    Gzip(Box<GzDecoder<Rest>>),
    Zstd(ZstdDecoder<'static, Rest>),
}

impl Member {
    fn new(compression: Compression, reader: Rest) -> std::io::Result<Self> {
        Ok(match compression {
            Compression::Gzip => Self::Gzip(Box::new(GzDecoder::new(reader))),
            Compression::Zstd => {
                let mut decoder = ZstdDecoder::with_buffer(reader)?.single_frame();
                decoder.window_log_max(ZSTD_WINDOW)?;
                Self::Zstd(decoder)
            }
        })
    }

    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Gzip(decoder) => decoder.read(into),
            Self::Zstd(decoder) => decoder.read(into),
        }
    }

    fn into_rest(self) -> Rest {
        match self {
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.finish(),
        }
    }
}

impl Members {
    fn new(compression: Compression, reader: Bytes) -> std::io::Result<Self> {
        let reader = Cursor::new(Vec::new()).chain(BufReader::with_capacity(CHUNK, reader));
        Ok(Self { compression, member: Some(Member::new(compression, reader)?) })
    }
}

impl Read for Members {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while let Some(member) = &mut self.member {
            let length = member.read(into)?;
            if length > 0 || into.is_empty() {
                return Ok(length);
            }
            let Some(rest) = self.member.take().map(Member::into_rest) else { break };
            // No member is as short as what its reader began with.
            let (_, mut reader) = rest.into_inner();
            let mut next = Vec::new();
            reader.by_ref().take(LONGEST_MAGIC).read_to_end(&mut next)?;
            if next.is_empty() {
                break;
            }
            if is_cut(self.compression, &next) {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if compression_of(&next) != Some(self.compression) {
                reader.take(SHOWN).read_to_end(&mut next)?;
                let next = quoted(&String::from_utf8_lossy(&next));
                return Err(std::io::Error::other(format!("{FOLLOWS}: {next}")));
            }
            self.member = Some(Member::new(self.compression, Cursor::new(next).chain(reader))?);
        }
        Ok(0)
    }
}

/// Whether these first bytes of a file are text in UTF-8, the last character cut or whole.
fn is_text(first: &[u8]) -> bool {
    let whole = match std::str::from_utf8(first) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&first[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !whole.contains(|letter: char| letter.is_control() && !matches!(letter, '\t' | '\r' | '\n'))
}

/// What is not read, by its first bytes.
fn foreign(first: &[u8]) -> Option<(&'static str, &'static str)> {
    // A column may be called PARENT or ORC: what begins so and is text is text.
    if is_text(first) {
        return None;
    }
    const UNPACK: &str = "unpack it first, or compress its files with gzip or zstd";
    const CONVERT: &str = "write it as CSV, NDJSON or Parquet";
    let kinds: [(&[u8], _, _); 23] = [
        (b"PK\x03\x04", "a zip archive", "unpack it first; a workbook of Excel is one, too: save it as CSV"),
        (b"PK\x05\x06", "an empty zip archive", UNPACK),
        (b"BZh", "a file that bzip2 compressed", UNPACK),
        (b"\xfd7zXZ\0", "a file that xz compressed", UNPACK),
        (b"\x04\x22\x4d\x18", "a file that lz4 compressed", UNPACK),
        (b"\xff\x06\0\0sNaP", "a file that snappy compressed", UNPACK),
        (b"\x1f\x9d", "a file that compress compressed", UNPACK),
        (b"LZIP", "a file that lzip compressed", UNPACK),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
        (b"Rar!\x1a", "a rar archive", UNPACK),
        (b"\xff\xfe\0\0", "text in UTF-32", "write it in UTF-8: iconv -f UTF-32 -t UTF-8"),
        (b"\xff\xfe", "text in UTF-16", "write it in UTF-8: iconv -f UTF-16 -t UTF-8"),
        (b"\xfe\xff", "text in UTF-16", "write it in UTF-8: iconv -f UTF-16 -t UTF-8"),
        (b"Obj\x01", "an Avro file", CONVERT),
        (b"ORC", "an ORC file", CONVERT),
        (b"ARROW1", "an Arrow file", CONVERT),
        (b"FEA1", "a Feather file", CONVERT),
        (b"SQLite format 3", "a database of SQLite", CONVERT),
        (b"PGDMP", "a dump of Postgres", CONVERT),
        (b"PGCOPY\n\xff", "a binary COPY of Postgres", CONVERT),
        (b"\xd0\xcf\x11\xe0", "a document of Microsoft Office", CONVERT),
        (b"%PDF", "a PDF document", CONVERT),
        (b"PARE", "an encrypted Parquet file", "write it without encryption"),
    ];
    if let Some((_, what, hint)) = kinds.into_iter().find(|(magic, ..)| first.starts_with(magic)) {
        return Some((what, hint));
    }
    match first {
        [0, b' '..=b'~', 0, b' '..=b'~', ..] => {
            Some(("text in UTF-16", "write it in UTF-8: iconv -f UTF-16BE -t UTF-8"))
        }
        [b' '..=b'~', 0, b' '..=b'~', 0, ..] => {
            Some(("text in UTF-16", "write it in UTF-8: iconv -f UTF-16LE -t UTF-8"))
        }
        _ if first.get(257..262) == Some(b"ustar") => Some(("a tar archive", UNPACK)),
        _ if first.get(8..12) == Some(b"DUCK") => Some(("a database of DuckDB", CONVERT)),
        _ => None,
    }
}

/// A stream that was read, even in part, does not begin anew: a second attempt would see its rest as a whole.
fn read_once(source: &Source) -> Result<(), Error> {
    static READ: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let name = source.to_string();
    if READ.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone()) {
        return Ok(());
    }
    Err(Error::new(Fault::Unreadable, name, "it has been read before, and can't be read again")
        .with_hint("run the command again, with the whole input"))
}

const COLUMN_NAMES: &str = "a CSV file has at least a line of column names";
const NOT_AS_NAMED: &str = "it is damaged, or not what its name says: write it again, or give it the name that fits";

/// Opens a source, and tells of which kind it is.
pub(crate) fn open(source: &Source, counter: &Counter) -> Result<(Content, Option<Opened>), Error> {
    let name = source.to_string();
    let failed = |error: std::io::Error| Error::new(Fault::Unreadable, &name, error.to_string());
    let format = |message: String| Error::new(Fault::Format, &name, message);
    let (opened, reader, endings): (Option<Opened>, Bytes, _) = match source {
        Source::StandardInput => {
            read_once(source)?;
            (None, Box::new(std::io::stdin()), (None, None))
        }
        Source::File(path) => {
            let file = File::open(path).map_err(failed)?;
            let before = file.metadata().map_err(failed)?;
            let opened = match before.is_file() {
                true => Some(Opened { file: file.try_clone().map_err(failed)?, before }),
                false => {
                    read_once(source)?;
                    None
                }
            };
            (opened, Box::new(file), source::endings(path))
        }
    };
    let reader: Bytes = Box::new(Counted { inner: reader, counter: counter.clone() });
    let (first, reader) = peek(reader, SNIFFED).map_err(failed)?;
    if first.is_empty() {
        return Err(format("the file is empty".to_owned()).with_hint(COLUMN_NAMES));
    }
    if let Some((what, hint)) = foreign(&first) {
        return Err(format(format!("{what} is not read")).with_hint(hint));
    }
    if first.starts_with(b"PAR1") {
        let Some(opened) = opened else {
            return Err(format("Parquet is read from its end, which a stream doesn't have".to_owned())
                .with_hint("save it as a file, and name that"));
        };
        return Ok((Content::Parquet(opened.file.try_clone().map_err(failed)?), Some(opened)));
    }
    let (ending, compressed_ending) = endings;
    let compression = compression_of(&first);
    let expected = match compressed_ending {
        Some("gz") => Some(Compression::Gzip),
        Some(_) => Some(Compression::Zstd),
        None => compression,
    };
    if compression != expected {
        return Err(format(format!(
            "the name ends in .{}, the content is not compressed that way",
            compressed_ending.unwrap_or_default()
        ))
        .with_hint(NOT_AS_NAMED));
    }
    let unpacked: Bytes = match compression {
        None => reader,
        Some(compression) => Box::new(Members::new(compression, reader).map_err(failed)?),
    };
    let mut input = Input::new(&name, unpacked, compression.is_some());
    while !input.ended && (input.data().len() as u64) < SNIFFED {
        input.refill()?;
    }
    if input.compressed && (compression_of(input.data()).is_some() || input.data().starts_with(b"PAR1")) {
        return Err(
            format("compressed twice".to_owned()).with_hint("unpack it once; Parquet is compressed within itself")
        );
    }
    if let Some((what, hint)) = foreign(input.data()) {
        return Err(format(format!("{what} is not read")).with_hint(hint));
    }
    // A byte order mark is no part of the text.
    if input.data().starts_with(BYTE_ORDER_MARK) {
        input.consume(BYTE_ORDER_MARK.len());
    }
    let kind = kind_of(input.data(), ending).map_err(|(message, hint)| format(message).with_hint(hint))?;
    Ok((Content::Text(kind, input), opened))
}

/// The kind of a text, by how it begins and what its name ends in; else what is wrong, and what to do.
fn kind_of(text: &[u8], ending: Option<&str>) -> Result<Kind, (String, &'static str)> {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    match (first, ending) {
        (None, _) => Err(("nothing is in the file".to_owned(), COLUMN_NAMES)),
        (_, Some("parquet")) => {
            Err(("the name ends in .parquet, the content is no Parquet file".to_owned(), NOT_AS_NAMED))
        }
        (Some(b'<'), _) => Err((
            "HTML or XML is not read".to_owned(),
            "look into it: a download may have given a page with an error in place of the file",
        )),
        (Some(b'{'), _) => Ok(Kind::NewlineDelimitedJson),
        (Some(b'['), _) => Ok(Kind::JsonArray),
        (_, None | Some("csv")) => Ok(Kind::Csv),
        (_, Some(ending)) => Err((
            format!("the name ends in .{ending}, the content is no JSON"),
            "one object a line, or one array of objects",
        )),
    }
}

/// The bytes of a file, unpacked, a part of them in memory.
pub(crate) struct Input {
    name: String,
    reader: Bytes,
    compressed: bool,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Nothing comes after what is in memory.
    pub(crate) ended: bool,
}

impl Input {
    fn new(name: &str, reader: Bytes, compressed: bool) -> Self {
        Self { name: name.to_owned(), reader, compressed, buffer: Vec::new(), start: 0, end: 0, ended: false }
    }

    /// What comes in pieces of so many bytes.
    #[cfg(test)]
    pub(crate) fn in_pieces(text: &str, length: usize) -> Self {
        struct Pieces(Cursor<Vec<u8>>, usize);
        impl Read for Pieces {
            fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
                let length = into.len().min(self.1);
                self.0.read(&mut into[..length])
            }
        }
        Self::new("pieces", Box::new(Pieces(Cursor::new(text.as_bytes().to_vec()), length)), false)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What is in memory.
    pub(crate) fn data(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(crate) fn consume(&mut self, length: usize) {
        self.start = (self.start + length).min(self.end);
    }

    /// Whether a row that is longer than what is in memory would be too long.
    pub(crate) fn is_full(&self) -> bool {
        self.data().len() >= LONGEST_ROW
    }

    /// Reads on.
    pub(crate) fn refill(&mut self) -> Result<(), Error> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        // Twice what is there, so that a long row is looked at a few times only.
        let wanted = (self.end * 2).max(CHUNK);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        while !self.ended && self.end < self.buffer.len() {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(length) => {
                    self.end += length;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(&error)),
            }
        }
        Ok(())
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        let text = error.to_string();
        let damaged = |message: &str| {
            (Fault::Damaged, format!("the compressed file {message}"), "get or write the whole file again")
        };
        let (fault, message, hint) = match (self.compressed, error.kind()) {
            (false, _) => (Fault::Unreadable, text, "get or write the whole file again"),
            (true, ErrorKind::UnexpectedEof) => damaged("ends too early: it was cut off"),
            (true, _) if text == "invalid gzip header" => damaged("is damaged: its header is wrong"),
            (true, _) if text.starts_with(FOLLOWS) => {
                (Fault::Damaged, text, "take away what follows, or get or write the file again")
            }
            // The words of zstd: <https://github.com/facebook/zstd/blob/dev/lib/common/error_private.c>.
            (true, _) if text.starts_with("Dictionary") => (
                Fault::Format,
                "the file is compressed with a dictionary, which is not in it".to_owned(),
                "compress it without one",
            ),
            (true, _) if text.starts_with("Frame requires too much memory") => (
                Fault::Format,
                format!("the file is compressed with a window of more than {} MiB", 1 << (ZSTD_WINDOW - 20)),
                "compress it with a smaller one: zstd --long=27, or without --long",
            ),
            (true, _) => damaged(&format!("is damaged: {text}")),
        };
        Error::new(fault, &self.name, message).with_hint(hint)
    }
}
