//! Runnable examples of embedding pgAnalytics: the `.rs` files beside this
//! folder, one program for each thing an embedder does. `docs/embedding.md` walks
//! through them.
