//! The functions of an image, from its PDB.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use pdb_addr2line::pdb::{FallibleIterator, PDB, SymbolData};

use crate::AuditError;

/// A function as the PDB names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its names: several when the linker has folded functions of the same code into one.
    pub names: Vec<String>,
    /// Its length in bytes, 0 when the PDB does not have it.
    pub length: u32,
}

/// Reads the functions of a PDB, by their relative address.
///
/// # Errors
/// [`AuditError::Pdb`] when the PDB cannot be read; [`AuditError::NoFunctions`] when it names none.
pub fn functions(pdb: &[u8]) -> Result<BTreeMap<u32, Named>, AuditError> {
    let functions = read(pdb).map_err(|error| AuditError::Pdb(error.to_string()))?;
    if functions.is_empty() { Err(AuditError::NoFunctions) } else { Ok(functions) }
}

/// Reads the imports of a PDB, by their decorated names.
///
/// # Errors
/// [`AuditError::Pdb`] when the PDB cannot be read.
pub fn imports(pdb: &[u8]) -> Result<BTreeSet<String>, AuditError> {
    let read = || -> Result<BTreeSet<String>, pdb_addr2line::pdb::Error> {
        let mut names = BTreeSet::new();
        let globals = PDB::open(Cursor::new(pdb))?.global_symbols()?;
        let mut symbols = globals.iter();
        while let Some(symbol) = symbols.next()? {
            if let Ok(SymbolData::Public(public)) = symbol.parse()
                && let Some(name) = public.name.to_string().strip_prefix("__imp_")
            {
                names.insert(name.to_owned());
            }
        }
        Ok(names)
    };
    read().map_err(|error| AuditError::Pdb(error.to_string()))
}

fn read(bytes: &[u8]) -> Result<BTreeMap<u32, Named>, pdb_addr2line::pdb::Error> {
    let mut pdb = PDB::open(Cursor::new(bytes))?;
    let addresses = pdb.address_map()?;
    let mut functions = BTreeMap::<u32, Named>::new();
    let mut add = |address: Option<u32>, name: String, length: u32| {
        let Some(address) = address else { return };
        let function = functions.entry(address).or_insert_with(|| Named { names: Vec::new(), length: 0 });
        function.length = function.length.max(length);
        if !function.names.contains(&name) {
            function.names.push(name);
        }
    };
    let information = pdb.debug_information()?;
    let mut modules = information.modules()?;
    while let Some(module) = modules.next()? {
        let Some(module) = pdb.module_info(&module)? else { continue };
        let mut symbols = module.symbols()?;
        while let Some(symbol) = symbols.next()? {
            if let Ok(SymbolData::Procedure(procedure)) = symbol.parse() {
                let address = procedure.offset.to_rva(&addresses).map(|rva| rva.0);
                add(address, procedure.name.to_string().into_owned(), procedure.len);
            }
        }
    }
    // What has no debug information, such as functions in assembly, has a public name.
    let globals = pdb.global_symbols()?;
    let mut symbols = globals.iter();
    while let Some(symbol) = symbols.next()? {
        if let Ok(SymbolData::Public(public)) = symbol.parse()
            && public.code
        {
            add(public.offset.to_rva(&addresses).map(|rva| rva.0), public.name.to_string().into_owned(), 0);
        }
    }
    Ok(functions)
}
