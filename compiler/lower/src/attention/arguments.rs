//! What the driver writes into argument memory before a step: lengths, limits, where the step's
//! tokens go, and the page table. The program reads nothing else that depends on a length.

use super::layout::CacheLayout;
use super::passes::PassMap;
use pimc_ir::CacheType;
use thiserror::Error;

/// Words about a token that is appended.
pub(crate) const TOKEN_WORDS: u32 = 12;

/// A word about a token that is appended, by its place among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenWord {
    /// 1 if a token is compressed for this one, else 0.
    Leaves,
    /// Row of the leaving token's block, from the first row of exact tokens.
    LeaveRow,
    /// Column of it.
    LeaveColumn,
    /// Its place in the block.
    LeavePlace,
    /// First row of the page that its code goes to.
    CodeRow,
    /// Column of its block of codes.
    CodeColumn,
    /// Its place in the block.
    CodePlace,
    /// 1 if the new token is kept exact, else 0.
    Keeps,
    /// Row of the new token's block, from the first row of exact tokens.
    KeepRow,
    /// Column of it.
    KeepColumn,
    /// Its place in the block.
    KeepPlace,
    /// Where its elements begin among those of the step's tokens; for programs with a loop over tokens.
    Source,
}

/// Where in argument memory what lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgumentMap {
    /// Most tokens that a step appends.
    tokens: u32,
    /// Elements of one.
    token_len: u32,
    passes: PassMap,
    pages: u32,
}

impl ArgumentMap {
    /// Compressed tokens.
    pub(crate) const COMPRESSED: u32 = 0;
    /// Tokens.
    pub(crate) const LENGTH: u32 = 1;
    /// Place of the oldest token of the recent window.
    pub(crate) const RING: u32 = 2;
    /// 1 if the last page is not full, else 0.
    pub(crate) const TAIL: u32 = 3;
    /// Columns of it that are used.
    pub(crate) const TAIL_COLUMNS: u32 = 4;
    /// Its first row.
    pub(crate) const TAIL_ROW: u32 = 5;
    /// 1 if the token that leaves the window next is encoded in this step already, else 0.
    pub(crate) const AHEAD: u32 = 6;
    /// Row, column and place of that token, as for one that leaves.
    pub(crate) const AHEAD_TOKEN: [u32; 3] = [7, 8, 9];
    /// First row of the page, column and place of its code.
    pub(crate) const AHEAD_CODE: [u32; 3] = [10, 11, 12];
    const LIMITS: u32 = 13;

    /// The map of a program for steps of up to `tokens` new tokens.
    pub(crate) fn new(
        layout: &CacheLayout,
        cache: &CacheType,
        tokens: u32,
        passes: PassMap,
    ) -> ArgumentMap {
        let token_len = cache.token_len() as u32;
        ArgumentMap { tokens, token_len, passes, pages: layout.pages() }
    }

    /// The passes.
    pub(super) fn passes(&self) -> PassMap {
        self.passes
    }

    /// The words of pass `i`.
    pub(crate) fn pass(&self, i: u32) -> u32 {
        ArgumentMap::LIMITS + i * self.passes.words()
    }

    /// The number of new tokens, if the program has a loop over them: the words of the first one follow.
    pub(crate) fn count(&self) -> Option<u32> {
        (self.tokens > 1).then(|| self.pass(self.passes.count()))
    }

    /// A word about token `i` of the step.
    pub(crate) fn token(&self, i: u32, word: TokenWord) -> u32 {
        let first = self.pass(self.passes.count()) + u32::from(self.tokens > 1);
        first + i * TOKEN_WORDS + word as u32
    }

    /// How many pages are full; the page table follows.
    pub(crate) fn full_pages(&self) -> u32 {
        self.token(self.tokens, TokenWord::Leaves)
    }

    /// Words of argument memory.
    pub fn words(&self) -> u32 {
        self.full_pages() + 1 + self.pages
    }
}

/// Why a step cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StepError {
    /// A count of new tokens that the step's vectors do not hold.
    #[error("a step appends 0 to {most} tokens, not {got}")]
    Count {
        /// The most.
        most: u32,
        /// What was asked for.
        got: i64,
    },
    /// No room for a further token.
    #[error("the cache holds {tokens} tokens, and {length} were to be in it")]
    Full {
        /// Its capacity.
        tokens: u32,
        /// Tokens that it should hold.
        length: u64,
    },
    /// A count of tokens to be clustered that the step's vectors do not hold.
    #[error("{got} tokens are to be taken, {most} are given")]
    Taken {
        /// Those that are given.
        most: u32,
        /// What was asked for.
        got: i64,
    },
    /// A negative weight of a token that is to be clustered, or one beyond 32 bits.
    #[error("weight {index} is {got}: weights are 0 or more")]
    Weight {
        /// Which weight.
        index: usize,
        /// Its value.
        got: i64,
    },
}

/// Place of the token at `position` among the exact ones: the first ones, then the recent ones as a ring.
pub(super) fn exact_index(cache: &CacheType, position: u32) -> u32 {
    let (sink, recent) = (cache.sink as u32, cache.recent as u32);
    if position < sink {
        position
    } else {
        sink + (position - sink) % recent.max(1)
    }
}

/// That place of a cache that holds `length` tokens, if the token is exact.
pub(super) fn exact_at(cache: &CacheType, length: u32, position: u32) -> Option<u32> {
    let exact = position < cache.sink as u32 || position + cache.recent as u32 >= length;
    (position < length && exact).then(|| exact_index(cache, position))
}

/// How many tokens a step appends to a cache that holds `length`, of at most `most`.
pub(super) fn appended(
    cache: &CacheType,
    length: u32,
    (count, most): (i64, u32),
) -> Result<u32, StepError> {
    let wrong = StepError::Count { most, got: count };
    let count = u32::try_from(count).ok().filter(|n| *n <= most).ok_or(wrong)?;
    let (length, tokens) = (length + count, cache.tokens as u32);
    if length > tokens {
        return Err(StepError::Full { tokens, length: length.into() });
    }
    Ok(count)
}

/// The driver of a cache: how many tokens it holds, and which frame each page lies in. Pages are
/// put into frames when their first token comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    cache: CacheType,
    layout: CacheLayout,
    map: ArgumentMap,
    length: u32,
    /// Whether the program encodes ahead, and for how many compressed tokens there are codes.
    ahead: bool,
    encoded: u32,
    /// The order in which frames are taken.
    frames: Vec<u32>,
    /// Frames that are free, the next one last.
    free: Vec<u32>,
    table: Vec<u32>,
}

impl Driver {
    /// A cache that holds `length` tokens. `frames` is the order in which frames are taken.
    pub(crate) fn new(
        cache: CacheType,
        layout: CacheLayout,
        map: ArgumentMap,
        frames: &[u32],
        ahead: bool,
    ) -> Driver {
        let (frames, length) = (frames.to_vec(), cache.start as u32);
        let (free, table) = (frames.iter().rev().copied().collect(), Vec::new());
        let mut driver =
            Driver { cache, layout, map, length, ahead, encoded: 0, frames, free, table };
        // Images hold the code of the token that leaves first, as a step would have left it.
        driver.encoded = driver.compressed() + u32::from(driver.leaves_next());
        driver.pages_for(driver.encoded);
        driver
    }

    /// Tokens in the cache.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// The frame of every page that is in use.
    pub fn pages(&self) -> &[u32] {
        &self.table
    }

    fn compressed_of(&self, length: u32) -> u32 {
        length.saturating_sub((self.cache.sink + self.cache.recent) as u32)
    }

    /// Compressed tokens.
    pub fn compressed(&self) -> u32 {
        self.compressed_of(self.length)
    }

    /// Takes frames for the pages that so many compressed tokens need.
    fn pages_for(&mut self, compressed: u32) {
        let pages = compressed.div_ceil(self.layout.page_tokens());
        while (self.table.len() as u32) < pages {
            let Some(frame) = self.free.pop() else { return };
            self.table.push(frame);
        }
    }

    /// First row of page `page`.
    fn page_row(&self, page: u32) -> u32 {
        self.layout.frame_row(self.table.get(page as usize).copied().unwrap_or_default())
    }

    /// The cache holds `count` tokens and no others. All frames are free before their pages take some.
    ///
    /// # Errors
    /// If there is no room for them; it is then as it was.
    pub(super) fn fill(&mut self, count: u32) -> Result<(), StepError> {
        let tokens = self.cache.tokens as u32;
        if count > tokens {
            return Err(StepError::Full { tokens, length: count.into() });
        }
        self.free = self.frames.iter().rev().copied().collect();
        self.table.clear();
        self.length = count;
        self.encoded = self.compressed();
        self.pages_for(self.encoded);
        Ok(())
    }

    /// Position of compressed token `t`.
    pub(super) fn waiting_position(&self, t: u32) -> u32 {
        self.cache.sink as u32 + t
    }

    /// Place of the token at `position` among the exact ones.
    fn exact_index(&self, position: u32) -> u32 {
        exact_index(&self.cache, position)
    }

    /// The place where the token at `position` lies, if it is exact: its index among the places.
    pub fn exact_at(&self, position: u32) -> Option<u32> {
        exact_at(&self.cache, self.length, position)
    }

    /// Argument memory for a step that appends `count` tokens and lets query i see `limits[i]`.
    ///
    /// # Errors
    /// If it appends more than it has or than there is room for.
    pub fn step(&mut self, count: i64, limits: &[i64]) -> Result<Vec<(u32, u32)>, StepError> {
        let most = self.map.tokens;
        let count = appended(&self.cache, self.length, (count, most))?;
        let mut words: Vec<(u32, u32)> =
            self.map.count().map(|at| (at, count)).into_iter().collect();
        for i in 0..most {
            let token = if i < count { self.append() } else { [0; TOKEN_WORDS as usize] };
            let at = self.map.token(i, TokenWord::Leaves);
            words.extend((at..).zip(token));
            words.push((self.map.token(i, TokenWord::Source), i * self.map.token_len));
        }
        words.extend(self.lengths(limits));
        words.extend(self.encode_ahead());
        Ok(words)
    }

    /// Where the token at `position` lies among the exact ones: row, column, place.
    fn token_words(&self, position: u32) -> [u32; 3] {
        let place = self.layout.exact_place(self.exact_index(position));
        let (row, column) = self.layout.exact_at(place.block);
        [row, column, place.word()]
    }

    /// Where the code of compressed token `t` lies: its page's first row, column, place.
    pub(super) fn code_words(&self, t: u32) -> [u32; 3] {
        let place = self.layout.code_place(t);
        let (page, column) = self.layout.code_at(place.block);
        [self.page_row(page), column, place.word()]
    }

    /// Whether it is known which token the next one drives out of the window, to be encoded ahead.
    fn leaves_next(&self) -> bool {
        let full = self.length >= (self.cache.sink + self.cache.recent) as u32;
        self.ahead && full && self.length < self.cache.tokens as u32
    }

    /// Compressed tokens that there are codes of: perhaps one more than there are.
    pub(crate) fn encoded(&self) -> u32 {
        self.encoded
    }

    /// The token that leaves next is known when the window is full. Its code is found when the codebooks
    /// pass for the queries' sake, and lies where nobody looks until it has left.
    fn encode_ahead(&mut self) -> Vec<(u32, u32)> {
        let compressed = self.compressed();
        if !self.leaves_next() || self.encoded > compressed {
            return vec![(ArgumentMap::AHEAD, 0)];
        }
        self.pages_for(compressed + 1);
        self.encoded = compressed + 1;
        let token = self.token_words(self.length - self.cache.recent as u32);
        let code = self.code_words(compressed);
        let mut words = vec![(ArgumentMap::AHEAD, 1)];
        words.extend(ArgumentMap::AHEAD_TOKEN.into_iter().zip(token));
        words.extend(ArgumentMap::AHEAD_CODE.into_iter().zip(code));
        words
    }

    /// Takes one token in; the words about it.
    fn append(&mut self) -> [u32; TOKEN_WORDS as usize] {
        let mut words = [0; TOKEN_WORDS as usize];
        let mut set = |first: TokenWord, values: [u32; 3]| {
            words[first as usize..][..3].copy_from_slice(&values);
        };
        let (position, before) = (self.length, self.compressed());
        let (sink, recent) = (self.cache.sink as u32, self.cache.recent as u32);
        self.length += 1;
        self.pages_for(self.compressed());
        let leaves = self.compressed() > self.encoded;
        if leaves {
            self.encoded = self.compressed();
            if recent > 0 {
                // With a full window the leaving token's place is the new one's.
                set(TokenWord::LeaveRow, self.token_words(position - recent));
            }
            set(TokenWord::CodeRow, self.code_words(before));
        }
        let keeps = recent > 0 || position < sink;
        if keeps {
            set(TokenWord::KeepRow, self.token_words(position));
        }
        words[TokenWord::Leaves as usize] = leaves.into();
        words[TokenWord::Keeps as usize] = keeps.into();
        words
    }

    /// What depends on the length: counts, limits, page table.
    fn lengths(&self, limits: &[i64]) -> Vec<(u32, u32)> {
        let compressed = self.compressed();
        let (sink, recent) = (self.cache.sink as u32, self.cache.recent as u32);
        let ring = if recent > 0 { self.length.saturating_sub(sink) % recent } else { 0 };
        let page = self.layout.page_tokens();
        let (full, rest) = (compressed / page, compressed % page);
        let block = self.layout.lanes * self.layout.beats * self.layout.groups;
        let tail = rest.div_ceil(block) * self.layout.slices;
        let mut words = vec![
            (ArgumentMap::COMPRESSED, compressed),
            (ArgumentMap::LENGTH, self.length),
            (ArgumentMap::RING, ring),
            (ArgumentMap::TAIL, u32::from(rest > 0)),
            (ArgumentMap::TAIL_COLUMNS, tail),
            (ArgumentMap::TAIL_ROW, if rest > 0 { self.page_row(full) } else { 0 }),
        ];
        let limit = |query: u32| {
            let limit = limits.get(query as usize).copied().unwrap_or_default();
            limit.clamp(0, self.length.into()) as u32
        };
        for pass in self.map.passes.all() {
            let of = self.map.passes.words_of(pass, limit);
            words.extend((self.map.pass(pass.index)..).zip(of));
        }
        words.push((self.map.full_pages(), full));
        let rows = (0..full).map(|page| self.page_row(page));
        words.extend((self.map.full_pages() + 1..).zip(rows));
        words
    }
}
