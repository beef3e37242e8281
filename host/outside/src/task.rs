//! A task that ends with whoever holds it.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

#[derive(Debug)]
pub(crate) struct Task(AbortHandle);

impl Task {
    pub fn start(runtime: &Handle, work: impl Future<Output = ()> + Send + 'static) -> Task {
        Task(runtime.spawn(work).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
