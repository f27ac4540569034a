//! A running job as others see it: the page.

pub mod page;
