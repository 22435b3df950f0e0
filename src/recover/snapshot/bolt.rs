//! bbolt, read-only: meta pages, B+ trees, buckets. Every number in the file is checked before it
//! is used.
//!
//! ```text
//! page: id u64, flags u16, count u16, overflow u32, then elements that point to keys and values behind them
//! meta: magic, version, page size, flags u32; root bucket (root page, sequence u64); freelist, pages, transaction, checksum u64
//! ```

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const META: u16 = 4;
/// Length of a page's header, of an element, of a bucket's header.
const HEADER: usize = 16;
/// Length of a meta page's fields, before its checksum.
const META_LENGTH: usize = 56;
/// Flag of an element that is a bucket.
const IS_BUCKET: u32 = 1;
/// A tree that is deeper than this has a loop.
const MAX_DEPTH: usize = 64;

/// What is wrong with a database.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Neither meta page is valid.
    #[error("it is not an etcd database, or its beginning is damaged")]
    NoDatabase,
    /// The file is too short.
    #[error("it is incomplete: page {0} is missing")]
    Torn(u64),
    /// A page is damaged.
    #[error("page {page} is damaged: {why}")]
    Page {
        /// Its number.
        page: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// There is no such bucket.
    #[error("it has no bucket `{0}`: it is not the database of an etcd")]
    NoBucket(String),
    /// A key is not a revision.
    #[error("a change in it has no revision")]
    Revision,
    /// A value is not a change.
    #[error("a change in it cannot be read")]
    Change,
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
}

/// Storage of pages.
pub trait Pages {
    /// Its length in bytes.
    fn length(&self) -> u64;
    /// Reads `buffer` from `offset`.
    fn fill(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// The beginning of a file.
impl Pages for (File, u64) {
    fn length(&self) -> u64 {
        self.1
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}

/// A file in memory.
impl Pages for Vec<u8> {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = self.get(start..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Calls `visit` with every key and value of a bucket, in order.
pub fn each<P: Pages>(
    pages: &P,
    bucket: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let database = Database::open(pages)?;
    let mut found = None;
    database.walk(database.root, &mut |flags, key, value| {
        if flags & IS_BUCKET != 0 && key == bucket {
            found = Some(value.to_vec());
        }
        Ok(())
    })?;
    let missing = || Problem::NoBucket(String::from_utf8_lossy(bucket).into_owned());
    let header = found.ok_or_else(missing)?;
    let mut visit = |_, key: &[u8], value: &[u8]| visit(key, value);
    match u64_at(&header, 0).ok_or_else(missing)? {
        // A small bucket is a page within the value.
        0 => leaf(0, header.get(HEADER..).unwrap_or_default(), &mut visit),
        root => database.walk(root, &mut visit),
    }
}

/// The database, by the newer of its two meta pages.
struct Database<'p, P> {
    pages: &'p P,
    page_size: u64,
    root: u64,
    transaction: u64,
}

/// Called with flags, key and value of an element.
type Visit<'t> = dyn FnMut(u32, &[u8], &[u8]) -> Result<(), Problem> + 't;

impl<'p, P: Pages> Database<'p, P> {
    fn open(pages: &'p P) -> Result<Self, Problem> {
        // The second meta page follows the first by one page. If the first is damaged, the page
        // size is unknown, so every size is tried.
        let mut offsets = vec![0];
        offsets.extend((9..17).map(|power| 1 << power));
        let metas = offsets.into_iter().filter_map(|offset| Self::meta(pages, offset));
        metas.max_by_key(|database| database.transaction).ok_or(Problem::NoDatabase)
    }

    fn meta(pages: &'p P, offset: u64) -> Option<Self> {
        let mut page = [0; HEADER + META_LENGTH + 8];
        pages.fill(offset, &mut page).ok()?;
        let meta = &page[HEADER..];
        let is_right = u16_at(&page, 8)? == META
            && u32_at(meta, 0)? == MAGIC
            && u32_at(meta, 4)? == VERSION
            && u64_at(meta, META_LENGTH)? == fnv(&meta[..META_LENGTH]);
        let page_size = u64::from(u32_at(meta, 8)?);
        let stands_right = offset == 0 || offset == page_size;
        let (root, transaction) = (u64_at(meta, 16)?, u64_at(meta, 48)?);
        let is_sane = page_size.is_power_of_two() && (512..=65536).contains(&page_size);
        (is_right && is_sane && stands_right).then_some(Self { pages, page_size, root, transaction })
    }

    /// Every element of the tree at `root`, in order.
    fn walk(&self, root: u64, visit: &mut Visit<'_>) -> Result<(), Problem> {
        self.descend(root, 0, &mut BTreeSet::new(), visit)
    }

    fn descend(
        &self,
        id: u64,
        depth: usize,
        seen: &mut BTreeSet<u64>,
        visit: &mut Visit<'_>,
    ) -> Result<(), Problem> {
        let damaged = |why| Problem::Page { page: id, why };
        if depth > MAX_DEPTH || !seen.insert(id) {
            return Err(damaged("it is reached twice"));
        }
        let page = self.page(id)?;
        match u16_at(&page, 8) {
            Some(flags) if flags & LEAF != 0 => leaf(id, &page, visit),
            Some(flags) if flags & BRANCH != 0 => {
                for index in 0..count(&page) {
                    let child = u64_at(&page, HEADER + index * HEADER + 8);
                    let child = child.ok_or_else(|| damaged("it has fewer elements than it says"))?;
                    self.descend(child, depth + 1, seen, visit)?;
                }
                Ok(())
            }
            _ => Err(damaged("it is neither branch nor leaf")),
        }
    }

    /// A page with its overflow pages.
    fn page(&self, id: u64) -> Result<Vec<u8>, Problem> {
        let offset = id.checked_mul(self.page_size).ok_or(Problem::Torn(id))?;
        let mut header = [0; HEADER];
        self.fill(id, offset, &mut header)?;
        if u64_at(&header, 0) != Some(id) {
            return Err(Problem::Page { page: id, why: "another page is in its place" });
        }
        let overflow = u64::from(u32_at(&header, 12).unwrap_or_default());
        let length = (overflow + 1) * self.page_size;
        let mut page = vec![0; self.within(id, offset, length)?];
        self.fill(id, offset, &mut page)?;
        Ok(page)
    }

    fn fill(&self, id: u64, offset: u64, buffer: &mut [u8]) -> Result<(), Problem> {
        self.within(id, offset, buffer.len() as u64)?;
        Ok(self.pages.fill(offset, buffer)?)
    }

    /// `length`, if the file is that long. A damaged page cannot make the program allocate more
    /// than the file holds.
    fn within(&self, id: u64, offset: u64, length: u64) -> Result<usize, Problem> {
        let is_within = offset.checked_add(length).is_some_and(|end| end <= self.pages.length());
        usize::try_from(length).ok().filter(|_| is_within).ok_or(Problem::Torn(id))
    }
}

/// The elements of a leaf: flags, where the key is from here, lengths of key and value.
fn leaf(id: u64, page: &[u8], visit: &mut Visit<'_>) -> Result<(), Problem> {
    let damaged = || Problem::Page { page: id, why: "an element of it leads out of it" };
    for index in 0..count(page) {
        let at = HEADER + index * HEADER;
        let number = |offset| u32_at(page, at + offset).ok_or_else(damaged);
        let (flags, position, key, value) = (number(0)?, number(4)?, number(8)?, number(12)?);
        let start = at + position as usize;
        let content = page.get(start..).and_then(|rest| rest.get(..key as usize + value as usize));
        let (key, value) = content.ok_or_else(damaged)?.split_at(key as usize);
        visit(flags, key, value)?;
    }
    Ok(())
}

fn count(page: &[u8]) -> usize {
    u16_at(page, 10).unwrap_or_default().into()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_le_bytes(*chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

/// FNV-1a of 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
