//! Work that ends with whoever wanted it.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Given up when dropped.
pub struct Task(JoinHandle<()>);

impl Task {
    pub fn start(runtime: &Handle, work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(runtime.spawn(work))
    }

    pub fn is_over(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
