//! The Kubernetes API: connect, apply, watch. Nothing else speaks to it.
