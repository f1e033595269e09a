//! How a co-simulation tells how far it is. What is done with it is the caller's affair.

/// Takes notice of progress; may be called from several threads.
pub trait Progress: Sync {
    /// A stage begins, in a few words.
    fn stage(&self, what: &str);
    /// `done` of `of` vectors of the stage are done; where vectors take several runs each, so many runs.
    fn vectors(&self, done: usize, of: usize);
}

/// Takes no notice.
pub struct Quiet;

impl Progress for Quiet {
    fn stage(&self, _: &str) {}
    fn vectors(&self, _: usize, _: usize) {}
}
