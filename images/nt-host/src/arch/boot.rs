//! From the PVH entry point (32-bit, no paging) to Rust code in the top 2 GiB.
//!
//! Specification: Xen's x86/HVM direct boot ABI. At entry `ebx` holds the physical address of the start info.
#![allow(unsafe_code, reason = "the first instructions of the machine")]

use core::arch::global_asm;

/// Where the image is linked: virtual minus physical address. `link.ld` says the same.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
/// Where all physical memory is seen, and never executable.
pub const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;
/// How much of it the boot page tables map; more is mapped when the memory map is known.
pub const BOOT_MAPPED: u64 = 4 << 30;

/// The main thread's stack. Larger than a Windows kernel stack (24 KiB), because the agent runs on it too.
pub const BOOT_STACK_BYTES: usize = 128 * 1024;

global_asm!(
    r#"
    .section .boot.text, "ax", @progbits
    .code32
    .global pvh_entry
pvh_entry:
    cld
    cli
    mov %ebx, %ebp

    /* Four page directories of 2 MiB pages: physical 0 to 4 GiB. */
    movl $(boot_directories - {base}), %edi
    movl $0x83, %eax
    xorl %edx, %edx
    movl $2048, %ecx
1:  movl %eax, (%edi)
    movl %edx, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 1b

    movl $(boot_pdpt_low - {base}), %edi
    movl $(boot_directories - {base} + 3), %eax
    movl $4, %ecx
2:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    loop 2b

    /* The image: its base is entry 510 of the last table. */
    movl $(boot_directories - {base} + 3), (boot_pdpt_high - {base} + 510 * 8)

    movl $(boot_pml4 - {base}), %edi
    movl $(boot_pdpt_low - {base} + 3), (%edi)
    movl $(boot_pdpt_low - {base} + 3), 256 * 8(%edi)
    movl $0x80000000, 256 * 8 + 4(%edi)
    movl $(boot_pdpt_high - {base} + 3), 511 * 8(%edi)

    movl %edi, %cr3
    /* PAE, OSFXSR, OSXMMEXCPT: drivers use SSE. */
    movl $0x620, %eax
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x900, %eax
    wrmsr
    /* PG, WP, NE, MP, PE. */
    movl $0x80010023, %eax
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $0x10, $3f

    .code64
3:  movabsq $4f, %rax
    jmp *%rax

    .section .boot.data, "aw", @progbits
    .balign 8
boot_gdt: .quad 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdt_pointer: .short 31
    .long boot_gdt

    .section .text.boot, "ax", @progbits
4:  movl $0x18, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movabsq $boot_stack_top, %rsp
    movl %ebp, %edi
    xorl %ebp, %ebp
    call guest_main
    ud2

    .section .bss.pages, "aw", @nobits
    .balign 4096
    .global boot_pml4
boot_pml4: .skip 4096
    .global boot_pdpt_low
boot_pdpt_low: .skip 4096
boot_pdpt_high: .skip 4096
boot_directories: .skip 4 * 4096
    .global boot_stack_guard
boot_stack_guard: .skip 4096
    .skip {stack}
    .global boot_stack_top
boot_stack_top:
    "#,
    base = const KERNEL_BASE,
    stack = const BOOT_STACK_BYTES,
    options(att_syntax)
);

unsafe extern "C" {
    /// Enters the guest. Firmware calls it by its address in the note.
    fn pvh_entry() -> !;
}

pvh::xen_elfnote_phys32_entry!(pvh_entry);
