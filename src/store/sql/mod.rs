//! What the databases share: what is asked before a batch is written, what follows from the answers, the rows that are written
//! then, and how rows are read back. The statements are each database's own.

pub(super) mod audit;
pub(super) mod chain;
pub(super) mod decode;
pub(super) mod generation;
pub(super) mod guards;
pub(super) mod jobs;
pub(super) mod retired;
pub(super) mod row;
pub(super) mod rows;
pub(super) mod tables;
pub(super) mod verdicts;
