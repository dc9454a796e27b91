//! What logs may cost a node: lines that are kept, lines that wait, and who pushes and follows. They are
//! listed for operators in `docs/operations.md`.

/// The bounds of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Lines that are kept of one sandbox, and that one answer has (`config.md` SR-51).
    pub(crate) sandbox_lines: usize,
    /// What they may take.
    pub(crate) sandbox_bytes: usize,
    /// What the lines of all sandboxes may take.
    pub(crate) node_bytes: usize,
    /// Encoded lines of one answer: released clients take no answer of more than 4 MiB.
    pub(crate) answer_bytes: usize,
    /// Lines that may wait for one reader, and what they may take.
    pub(crate) queue_lines: usize,
    pub(crate) queue_bytes: usize,
    /// What may wait for all readers, counted once for each.
    pub(crate) queued_bytes: u64,
    /// Readers of this node that follow.
    pub(crate) followers: u64,
    /// Streams that one sandbox may push through at a time.
    pub(crate) pushes_of_one: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            sandbox_lines: 2_000,
            sandbox_bytes: 2 * MIB,
            node_bytes: 256 * MIB,
            answer_bytes: 3 * MIB,
            queue_lines: 4_000,
            queue_bytes: 4 * MIB,
            queued_bytes: 128 * MIB as u64,
            followers: 2_000,
            pushes_of_one: 8,
        }
    }
}
