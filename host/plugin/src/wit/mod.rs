//! One module per version of `wit/` that the host serves. Which one a component was built against is seen once, at load, by the name under which it exports `bot`;
//! from there on the host's own words (`contract`) are the same for all.

pub(crate) mod v0_1_0;
