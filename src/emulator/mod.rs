//! A stand-in house of modules; see `house`.
