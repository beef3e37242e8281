//! What the host keeps beside one guest instance: the store's data.

use crate::capability::wasi::Wasi;
use crate::meter::Meter;
use crate::wit::v0_1_0::Handled;
use crate::{CallPort, Fault, Limits};
use wasmtime::ResourceLimiter;

pub(crate) struct HostState {
    pub(crate) port: Box<dyn CallPort>,
    /// What the component has handlers for: it may use that, and nothing else beyond telephony.
    pub(crate) handled: Handled,
    pub(crate) meter: Meter,
    pub(crate) memory: MemoryUse,
    pub(crate) wasi: Wasi,
}

impl HostState {
    pub(crate) fn new(port: Box<dyn CallPort>, handled: Handled, limits: &Limits) -> Self {
        Self { port, handled, meter: Meter::default(), memory: MemoryUse::new(limits), wasi: Wasi::new(limits) }
    }
}

/// Counts memory and tables over all core instances of the component: wasmtime's own `StoreLimits` judges each alone,
/// and a component may bring as many memories as it likes.
#[derive(Debug)]
pub(crate) struct MemoryUse {
    bytes: usize,
    bytes_max: usize,
    elements: usize,
    elements_max: usize,
    core_instances_max: usize,
    /// Whether anything was refused since this was last cleared: the guest usually traps soon after.
    pub(crate) refused: bool,
}

impl MemoryUse {
    fn new(limits: &Limits) -> Self {
        Self {
            bytes: 0,
            bytes_max: limits.memory_bytes,
            elements: 0,
            elements_max: limits.table_elements,
            core_instances_max: limits.core_instances,
            refused: false,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn fault(&self) -> Fault {
        Fault::TooMuchMemory { limit_mib: (self.bytes_max >> 20) as u32 }
    }
}

/// Adds the growth to the sum if the limit allows. Growth that the system then refuses stays counted, to the bot's cost.
fn grow(sum: &mut usize, max: usize, current: usize, desired: usize, own_max: Option<usize>) -> bool {
    let Some(new_sum) = desired.checked_sub(current).and_then(|growth| sum.checked_add(growth)) else {
        return false;
    };
    let allowed = new_sum <= max && own_max.is_none_or(|own| desired <= own);
    if allowed {
        *sum = new_sum;
    }
    allowed
}

impl ResourceLimiter for MemoryUse {
    fn memory_growing(&mut self, current: usize, desired: usize, own_max: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = grow(&mut self.bytes, self.bytes_max, current, desired, own_max);
        self.refused |= !allowed;
        Ok(allowed)
    }

    fn table_growing(&mut self, current: usize, desired: usize, own_max: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = grow(&mut self.elements, self.elements_max, current, desired, own_max);
        self.refused |= !allowed;
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        self.core_instances_max
    }

    fn memories(&self) -> usize {
        self.core_instances_max
    }

    fn tables(&self) -> usize {
        self.core_instances_max
    }
}
