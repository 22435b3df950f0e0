//! Everything that touches this machine: files, addresses, listeners.
