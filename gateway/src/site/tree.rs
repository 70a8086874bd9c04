//! Directory handles: every step into a tree that others write is taken here, beneath a handle
//! and never through a link.
