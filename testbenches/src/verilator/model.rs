//! A built simulation, loaded and driven: ports by number, clock, wave file.

use super::build::{Built, Port};
use crate::error::Error;
use libloading::Library;
use std::ffi::{c_char, c_int, c_uint, c_void, CStr, CString};
use std::path::Path;

type Handle = *mut c_void;

/// The functions of `shim.cpp`.
struct Functions {
    free: unsafe extern "C" fn(Handle),
    clock: unsafe extern "C" fn(Handle, u64) -> c_int,
    clock_until: unsafe extern "C" fn(Handle, c_uint, u64, *mut u64) -> c_int,
    trace_open: unsafe extern "C" fn(Handle, *const c_char) -> c_int,
    trace_close: unsafe extern "C" fn(Handle),
    message: unsafe extern "C" fn(Handle) -> *const c_char,
}

/// One running simulation.
pub struct Model {
    handle: Handle,
    functions: Functions,
    /// Where each port lies, how many bytes it takes, its width.
    ports: Vec<(*mut u8, usize, u32)>,
    names: Vec<Port>,
    /// The text of the arguments: the simulation keeps pointers to it.
    _args: Vec<CString>,
    /// Last, so that the code is unloaded after all that points into it.
    _library: Library,
}

// A model is used by one thread at a time; nothing in it is bound to the thread that made it.
unsafe impl Send for Model {}

/// Number of a port, from [`Model::port`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortId(usize);

impl Model {
    /// Loads a build and makes a simulation with the plusargs `args`.
    ///
    /// # Errors
    /// When the shared object cannot be loaded or the simulation stops while it is made.
    pub fn load(built: &Built, args: &[String]) -> Result<Model, Error> {
        let broken = |e: libloading::Error| Error::content(&built.object, e.to_string());
        // The object is one that `build` made from the shim next to this file.
        let library = unsafe { Library::new(&built.object) }.map_err(broken)?;
        let mut text: Vec<CString> = vec![c"pimc".to_owned()];
        for arg in args {
            text.push(CString::new(arg.as_str()).map_err(|_| Error::Usage {
                what: format!("the argument {arg:?} holds a zero byte"),
                help: "use a path without one".into(),
            })?);
        }
        let argv: Vec<*const c_char> = text.iter().map(|t| t.as_ptr()).collect();
        // The types are those of shim.cpp.
        unsafe {
            let new: unsafe extern "C" fn(c_int, *const *const c_char) -> Handle =
                *library.get(b"pimc_new").map_err(broken)?;
            let port: unsafe extern "C" fn(Handle, c_uint) -> *mut u8 =
                *library.get(b"pimc_port").map_err(broken)?;
            let bytes: unsafe extern "C" fn(Handle, c_uint) -> usize =
                *library.get(b"pimc_port_bytes").map_err(broken)?;
            let functions = Functions {
                free: *library.get(b"pimc_free").map_err(broken)?,
                clock: *library.get(b"pimc_clock").map_err(broken)?,
                clock_until: *library.get(b"pimc_clock_until").map_err(broken)?,
                trace_open: *library.get(b"pimc_trace_open").map_err(broken)?,
                trace_close: *library.get(b"pimc_trace_close").map_err(broken)?,
                message: *library.get(b"pimc_message").map_err(broken)?,
            };
            let handle = new(argv.len() as c_int, argv.as_ptr());
            if handle.is_null() {
                return Err(Error::Simulation("it could not be made".into()));
            }
            let ports = (0..built.ports.len())
                .map(|i| {
                    let n = i as c_uint;
                    (port(handle, n), bytes(handle, n), built.ports[i].bits)
                })
                .collect();
            Ok(Model {
                handle,
                functions,
                ports,
                names: built.ports.clone(),
                _args: text,
                _library: library,
            })
        }
    }

    /// The number of the port of that name.
    ///
    /// # Panics
    /// When the design was built without it: a slip of the caller, not of the user.
    pub fn port(&self, name: &str) -> PortId {
        match self.names.iter().position(|p| p.name == name) {
            Some(i) => PortId(i),
            None => panic!("the design was built without port {name}"),
        }
    }

    /// Writes the low 64 bits of a port; wider ones are cleared above.
    pub fn set(&mut self, port: PortId, value: u64) {
        self.set_words(port, &[value]);
    }

    /// Writes a port from 64-bit words, lowest first; what they do not cover is cleared.
    pub fn set_words(&mut self, port: PortId, words: &[u64]) {
        let (at, bytes, bits) = self.ports[port.0];
        for i in 0..bytes {
            let word = words.get(i / 8).copied().unwrap_or(0);
            let left = bits.saturating_sub(8 * i as u32).min(8);
            let mask = ((1u32 << left) - 1) as u8;
            // `bytes` is the size that the model states for the port.
            unsafe { *at.add(i) = (word >> (8 * (i % 8))) as u8 & mask };
        }
    }

    /// The low 64 bits of a port.
    pub fn get(&self, port: PortId) -> u64 {
        self.get_words(port)[0]
    }

    /// A port as 64-bit words, lowest first; at least one.
    pub fn get_words(&self, port: PortId) -> Vec<u64> {
        let (at, bytes, _) = self.ports[port.0];
        let mut words = vec![0u64; bytes.div_ceil(8).max(1)];
        for i in 0..bytes {
            // `bytes` is the size that the model states for the port.
            words[i / 8] |= u64::from(unsafe { *at.add(i) }) << (8 * (i % 8));
        }
        words
    }

    /// Runs `n` clock cycles.
    ///
    /// # Errors
    /// [`Error::Simulation`] when the simulation stops itself.
    pub fn clock(&mut self, n: u64) -> Result<(), Error> {
        let stopped = unsafe { (self.functions.clock)(self.handle, n) };
        self.check(stopped)
    }

    /// Runs until the one-bit port is 1, at most `max` cycles. Returns how many it ran and whether
    /// the port came.
    ///
    /// # Errors
    /// [`Error::Simulation`] when the simulation stops itself.
    pub fn clock_until(&mut self, port: PortId, max: u64) -> Result<(u64, bool), Error> {
        let mut ran = 0;
        let stopped =
            unsafe { (self.functions.clock_until)(self.handle, port.0 as c_uint, max, &mut ran) };
        self.check(stopped)?;
        Ok((ran, self.get(port) != 0))
    }

    /// Begins to write a wave file; one at a time.
    ///
    /// # Errors
    /// [`Error::Simulation`] when the file cannot be written.
    pub fn open_wave(&mut self, path: &Path) -> Result<(), Error> {
        let text = CString::new(path.to_string_lossy().as_bytes())
            .map_err(|_| Error::content(path, "the path holds a zero byte"))?;
        let stopped = unsafe { (self.functions.trace_open)(self.handle, text.as_ptr()) };
        self.check(stopped)
    }

    /// Ends the wave file.
    pub fn close_wave(&mut self) {
        unsafe { (self.functions.trace_close)(self.handle) };
    }

    fn check(&self, stopped: c_int) -> Result<(), Error> {
        if stopped == 0 {
            return Ok(());
        }
        let text = unsafe { CStr::from_ptr((self.functions.message)(self.handle)) };
        Err(Error::Simulation(text.to_string_lossy().into_owned()))
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // The handle came from `pimc_new` and is freed once, before the library goes.
        unsafe { (self.functions.free)(self.handle) };
    }
}
