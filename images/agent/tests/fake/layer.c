/* A library that stands in the place of the system's functions that reach drivers (the agent's option --layer): one device with one
   filter, whose pins are those of dmuscard.sys. It checks every structure that it gets against the public headers, and fails the
   call, with a line in its log, where one is wrong.

   The environment names the log (FAKE_LOG, a path of Windows). A line says what was called:
     open PATH | create PIN SUBTYPE ACCESS | state PIN STATE | write PIN TIME BYTES-IN-HEX | read PIN | property SET ID FLAGS NODE
     cancel HANDLE | close HANDLE | change N | remove | install INF ID | wrong WHAT */
#define WINVER 0x0501
#define _WIN32_WINNT 0x0501
#include <windows.h>
#include <setupapi.h>
#include <winternl.h>
#include <ks.h>
#include <ksmedia.h>
#include <stdarg.h>
#include <stdio.h>

#define FILTER ((HANDLE)0x1000)
#define PIN(n) ((HANDLE)(ULONG_PTR)(0x2000 + (n)))
#define PINS 5
#define LIST ((HDEVINFO)0x3000)

static const GUID MUSIC = {0xE725D360, 0x62CC, 0x11CF, {0xA5, 0xD6, 0x28, 0xDB, 0x04, 0xC1, 0, 0}};
static const GUID MIDI = {0x1D262760, 0xE957, 0x11CF, {0xA5, 0xD6, 0x28, 0xDB, 0x04, 0xC1, 0, 0}};
static const GUID DMUS = {0x1a82f8bc, 0x3f8b, 0x11d2, {0xb7, 0x74, 0, 0x60, 0x08, 0x33, 0x16, 0xc1}};
static const GUID NONE = {0x0F6417D6, 0xC318, 0x11D0, {0xA4, 0x3F, 0, 0xA0, 0xC9, 0x22, 0x31, 0x96}};
static const GUID AUDIO = {0x73647561, 0, 0x10, {0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71}};
static const GUID PCM = {1, 0, 0x10, {0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71}};
static const GUID WAVE = {0x05589f81, 0xc356, 0x11ce, {0xbf, 1, 0, 0xaa, 0, 0x55, 0x59, 0x5a}};
static const GUID PIN_SET = {0x8C134960, 0x51AD, 0x11CF, {0x87, 0x8A, 0x94, 0xF8, 0x01, 0xC1, 0, 0}};
static const GUID TOPOLOGY = {0x720D4AC0, 0x7533, 0x11D0, {0xA5, 0xD6, 0x28, 0xDB, 0x04, 0xC1, 0, 0}};
static const GUID CONNECTION = {0x1D58C920, 0xAC9B, 0x11CF, {0xA5, 0xD6, 0x28, 0xDB, 0x04, 0xC1, 0, 0}};
static const GUID CLOCK = {0xfedfae26, 0xe46e, 0x11d1, {0xaa, 0xce, 0, 0, 0xf8, 0x75, 0xac, 0x12}};
static const GUID STANDARD = {0x1A8766A0, 0x62CE, 0x11CF, {0xA5, 0xD6, 0x28, 0xDB, 0x04, 0xC1, 0, 0}};
static const GUID MEDIUM = {0x4747B320, 0x62CE, 0x11CF, {0xA5, 0xD6, 0x28, 0xDB, 0x04, 0xC1, 0, 0}};
static const GUID SYNTHESIZER = {0xDFF220F3, 0xF70F, 0x11D0, {0xB9, 0x17, 0, 0xA0, 0xC9, 0x22, 0x31, 0x96}};
static const GUID CATEGORIES[] = {{0x6994AD04, 0x93EF, 0x11D0, {0xA3, 0xCC, 0, 0xA0, 0xC9, 0x22, 0x31, 0x96}},
                                  {0xDFF220F3, 0xF70F, 0x11D0, {0xB9, 0x17, 0, 0xA0, 0xC9, 0x22, 0x31, 0x96}}};
static const WCHAR INSTANCE[] = L"PCI\\VEN_1AF4&DEV_1067&SUBSYS_11001AF4&REV_01\\3&11583659&0&18";

static struct { int open; KSSTATE state; IO_STATUS_BLOCK *block; HANDLE event; KSSTREAM_HEADER *header; } pins[PINS];
static ULONG problem;

static void say(const char *format, ...) {
    char line[4096];
    WCHAR path[MAX_PATH];
    DWORD written;
    va_list arguments;
    HANDLE file;
    int length;
    va_start(arguments, format);
    length = vsnprintf(line, sizeof line - 2, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 3) length = sizeof line - 3;
    line[length++] = '\n';
    if (!GetEnvironmentVariableW(L"FAKE_LOG", path, MAX_PATH)) return;
    file = CreateFileW(path, FILE_APPEND_DATA, 7, NULL, OPEN_ALWAYS, 0, NULL);
    WriteFile(file, line, length, &written, NULL);
    CloseHandle(file);
}

static NTSTATUS wrong(const char *what) {
    say("wrong %s", what);
    return 0xC000000D; /* STATUS_INVALID_PARAMETER */
}

__declspec(dllexport) HANDLE WINAPI FakeCreateFileW(LPCWSTR name, DWORD access, DWORD share, LPSECURITY_ATTRIBUTES security,
                                                    DWORD disposition, DWORD flags, HANDLE template) {
    (void)security, (void)template;
    say("open %ls", name);
    if (!(access & GENERIC_READ) || share || disposition != OPEN_EXISTING || !(flags & FILE_FLAG_OVERLAPPED)) {
        wrong("open");
        SetLastError(ERROR_INVALID_PARAMETER);
        return INVALID_HANDLE_VALUE;
    }
    return FILTER;
}

static int pin_of(HANDLE handle) {
    ULONG_PTR n = (ULONG_PTR)handle - 0x2000;
    return n < PINS && pins[n].open ? (int)n : -1;
}

static void complete(int n, NTSTATUS status, ULONG_PTR bytes) {
    pins[n].block->Status = status;
    pins[n].block->Information = bytes;
    pins[n].block = NULL;
    SetEvent(pins[n].event);
}

__declspec(dllexport) BOOL WINAPI FakeCancelIo(HANDLE handle) {
    int n = pin_of(handle);
    say("cancel %x", (unsigned)(ULONG_PTR)handle);
    if (n >= 0 && pins[n].block) complete(n, 0xC0000120, 0); /* STATUS_CANCELLED */
    return TRUE;
}

__declspec(dllexport) BOOL WINAPI FakeCloseHandle(HANDLE handle) {
    int n = pin_of(handle);
    say("close %x", (unsigned)(ULONG_PTR)handle);
    if (n >= 0) {
        if (pins[n].block) complete(n, 0xC0000120, 0);
        pins[n].open = 0;
    } else if (handle != FILTER) wrong("close");
    return TRUE;
}

__declspec(dllexport) DWORD WINAPI FakeKsCreatePin(HANDLE filter, PKSPIN_CONNECT connect, ACCESS_MASK access, PHANDLE pin) {
    KSDATAFORMAT *format = (KSDATAFORMAT *)(connect + 1);
    ULONG n = connect->PinId;
    const GUID *sub = n == 1 ? &DMUS : &MIDI;
    say("create %lu %s %lx", n, IsEqualGUID(&format->SubFormat, &DMUS) ? "DIRECTMUSIC" : IsEqualGUID(&format->SubFormat, &MIDI) ? "MIDI" : "PCM", access);
    if (filter != FILTER || (ULONG_PTR)connect % 8 || !IsEqualGUID(&connect->Interface.Set, &STANDARD) || connect->Interface.Id ||
        connect->Interface.Flags || !IsEqualGUID(&connect->Medium.Set, &MEDIUM) || connect->Medium.Id || connect->Medium.Flags ||
        connect->PinToHandle || connect->Priority.PriorityClass != KSPRIORITY_NORMAL || connect->Priority.PrioritySubClass != 1) {
        wrong("KSPIN_CONNECT");
        return ERROR_INVALID_PARAMETER;
    }
    if (format->FormatSize != sizeof *format || format->Flags || format->SampleSize || format->Reserved) {
        wrong("KSDATAFORMAT");
        return ERROR_INVALID_PARAMETER;
    }
    if (!(access & (n == 3 ? GENERIC_READ : GENERIC_WRITE))) {
        wrong("access");
        return ERROR_ACCESS_DENIED;
    }
    if ((n != 0 && n != 1 && n != 3) || !IsEqualGUID(&format->MajorFormat, &MUSIC) || !IsEqualGUID(&format->Specifier, &NONE) ||
        (!IsEqualGUID(&format->SubFormat, sub) && !(n == 3 && IsEqualGUID(&format->SubFormat, &DMUS))))
        return ERROR_NO_MATCH;
    if (pins[n].open) return ERROR_NO_MATCH;
    memset(&pins[n], 0, sizeof pins[n]);
    pins[n].open = 1;
    *pin = PIN(n);
    return 0;
}

static NTSTATUS give(IO_STATUS_BLOCK *block, void *out, ULONG room, const void *value, ULONG bytes) {
    block->Information = bytes;
    if (!room) return 0x80000005; /* STATUS_BUFFER_OVERFLOW */
    if (room < bytes) return 0xC0000023; /* STATUS_BUFFER_TOO_SMALL */
    memcpy(out, value, bytes);
    return 0;
}

static NTSTATUS ranges(IO_STATUS_BLOCK *block, ULONG n, void *out, ULONG room) {
    struct { KSMULTIPLE_ITEM item; union { KSDATARANGE_MUSIC music[2]; KSDATARANGE_AUDIO audio; KSDATARANGE any; } range; } list;
    ULONG count = n == 3 ? 2 : 1, i, size = n == 2 ? sizeof(KSDATARANGE_AUDIO) : n == 4 ? sizeof(KSDATARANGE) : sizeof(KSDATARANGE_MUSIC);
    memset(&list, 0, sizeof list);
    for (i = 0; i < count; i++) {
        KSDATARANGE *range = n == 2 || n == 4 ? &list.range.any : &list.range.music[i].DataRange;
        range->FormatSize = size;
        range->MajorFormat = n == 2 ? AUDIO : MUSIC;
        range->SubFormat = n == 2 ? PCM : n == 1 || i == 1 ? DMUS : MIDI;
        range->Specifier = n == 2 ? WAVE : NONE;
    }
    if (n == 2) {
        list.range.audio.MaximumChannels = 2;
        list.range.audio.MinimumBitsPerSample = list.range.audio.MaximumBitsPerSample = 16;
        list.range.audio.MinimumSampleFrequency = 11025;
        list.range.audio.MaximumSampleFrequency = 96000;
    }
    if (n == 4) list.range.any.SubFormat = PCM;
    list.item.Count = count;
    list.item.Size = sizeof list.item + count * ((size + 7) & ~7u);
    return give(block, out, room, &list, list.item.Size);
}

static NTSTATUS property(HANDLE handle, IO_STATUS_BLOCK *block, const void *in, ULONG bytes, void *out, ULONG room) {
    const KSPROPERTY *p = in;
    ULONG value[2] = {0, 0};
    int n = pin_of(handle);
    if (bytes < sizeof *p) return wrong("KSPROPERTY");
    if (IsEqualGUID(&p->Set, &CONNECTION) && p->Id == KSPROPERTY_CONNECTION_STATE && p->Flags == KSPROPERTY_TYPE_SET) {
        KSSTATE state;
        if (n < 0 || bytes != sizeof *p || room != sizeof state) return wrong("state");
        state = *(KSSTATE *)out;
        say("state %d %d", n, state);
        if (state != pins[n].state + 1 && state != pins[n].state - 1) return wrong("a state that is skipped");
        pins[n].state = state;
        if (state == KSSTATE_STOP && pins[n].block) complete(n, 0xC0000120, 0); /* A stopped stream gives its buffers back. */
        return 0;
    }
    if (IsEqualGUID(&p->Set, &PIN_SET)) {
        const KSP_PIN *of = in;
        if (handle != FILTER || bytes != sizeof *of || p->Flags != KSPROPERTY_TYPE_GET || of->Reserved) return wrong("KSP_PIN");
        if (p->Id == KSPROPERTY_PIN_CTYPES) { value[0] = PINS; return give(block, out, room, value, 4); }
        if (of->PinId >= PINS) return wrong("a pin that is not there");
        switch (p->Id) {
        case KSPROPERTY_PIN_DATAFLOW: value[0] = of->PinId == 2 || of->PinId == 3 ? KSPIN_DATAFLOW_OUT : KSPIN_DATAFLOW_IN; return give(block, out, room, value, 4);
        case KSPROPERTY_PIN_COMMUNICATION:
            value[0] = of->PinId == 4 ? KSPIN_COMMUNICATION_NONE : of->PinId == 2 ? KSPIN_COMMUNICATION_SOURCE : KSPIN_COMMUNICATION_SINK;
            return give(block, out, room, value, 4);
        case KSPROPERTY_PIN_GLOBALCINSTANCES: value[0] = 1; return give(block, out, room, value, 8);
        case KSPROPERTY_PIN_DATARANGES: return ranges(block, of->PinId, out, room);
        }
        return 0xC0000225; /* STATUS_NOT_FOUND */
    }
    if (IsEqualGUID(&p->Set, &TOPOLOGY) && p->Id == KSPROPERTY_TOPOLOGY_NODES && bytes == sizeof *p) {
        struct { KSMULTIPLE_ITEM item; GUID node; } list = {{sizeof list, 1}, SYNTHESIZER};
        return give(block, out, room, &list, sizeof list);
    }
    if (IsEqualGUID(&p->Set, &CLOCK) && p->Id == 0 && bytes == sizeof *p) {
        LARGE_INTEGER count, frequency;
        LONGLONG time;
        if (handle != FILTER) return wrong("the clock of a pin");
        QueryPerformanceCounter(&count), QueryPerformanceFrequency(&frequency);
        time = count.QuadPart / frequency.QuadPart * 10000000 + count.QuadPart % frequency.QuadPart * 10000000 / frequency.QuadPart;
        return give(block, out, room, &time, 8);
    }
    say("property %08lx %lu %lx %ld", p->Set.Data1, p->Id, p->Flags, bytes >= sizeof(KSNODEPROPERTY) ? (long)((KSNODEPROPERTY *)in)->NodeId : -1);
    if (p->Flags & KSPROPERTY_TYPE_TOPOLOGY && p->Set.Data1 == 0xfedfae25 && p->Id == 4 && p->Flags & KSPROPERTY_TYPE_GET) { value[0] = 2; return give(block, out, room, value, 4); }
    return 0xC0000225;
}

static NTSTATUS stream(HANDLE handle, HANDLE event, IO_STATUS_BLOCK *block, int is_write, const void *in, KSSTREAM_HEADER *h, ULONG room) {
    char hex[3000] = "";
    int n = pin_of(handle);
    ULONG i;
    if (n < 0 || in || room != sizeof *h || h->Size != sizeof *h || h->TypeSpecificFlags || h->PresentationTime.Numerator != 1 ||
        h->PresentationTime.Denominator != 1 || h->Duration || h->OptionsFlags || !h->Data || (ULONG_PTR)h % 8 == 4)
        return wrong("KSSTREAM_HEADER");
    if (is_write) {
        if (n == 3 || h->DataUsed != h->FrameExtent || pins[n].state < KSSTATE_PAUSE) return wrong("write");
        for (i = 0; i < h->DataUsed && i < 1400; i++) sprintf(hex + 2 * i, "%02x", ((BYTE *)h->Data)[i]);
        say("write %d %lld %s", n, h->PresentationTime.Time, hex);
        block->Information = room;
        return 0;
    }
    if (n != 3 || h->DataUsed || h->PresentationTime.Time) return wrong("read");
    say("read %d", n);
    if (pins[n].block) { /* One is kept; the others are filled at once: a note in each. */
        static const BYTE midi[12] = {5, 0, 0, 0, 3, 0, 0, 0, 0x90, 60, 100, 0};
        memcpy(h->Data, midi, sizeof midi);
        h->DataUsed = sizeof midi;
        h->PresentationTime.Time = 1000;
        block->Information = room;
        return 0;
    }
    ResetEvent(event);
    pins[n].block = block, pins[n].event = event, pins[n].header = h;
    return 0x103; /* STATUS_PENDING */
}

__declspec(dllexport) NTSTATUS WINAPI FakeNtDeviceIoControlFile(HANDLE handle, HANDLE event, PVOID apc, PVOID context, IO_STATUS_BLOCK *block,
                                                                ULONG code, PVOID in, ULONG in_bytes, PVOID out, ULONG out_bytes) {
    NTSTATUS status;
    if (apc || context || !event) return wrong("request");
    block->Information = 0;
    switch (code) {
    case IOCTL_KS_PROPERTY: status = property(handle, block, in, in_bytes, out, out_bytes); break;
    case IOCTL_KS_WRITE_STREAM: status = stream(handle, event, block, 1, in, out, out_bytes); break;
    case IOCTL_KS_READ_STREAM: status = stream(handle, event, block, 0, in, out, out_bytes); break;
    default: return wrong("code");
    }
    if (status != 0x103) { block->Status = status; SetEvent(event); }
    return status;
}

/* The device in the system's books. */
__declspec(dllexport) HDEVINFO WINAPI FakeSetupDiGetClassDevsW(const GUID *class, PCWSTR enumerator, HWND window, DWORD flags) {
    (void)window;
    if (enumerator || !(flags & DIGCF_PRESENT) || !class == !(flags & DIGCF_ALLCLASSES) || !class == !!(flags & DIGCF_DEVICEINTERFACE)) {
        wrong("SetupDiGetClassDevs");
        SetLastError(ERROR_INVALID_PARAMETER);
        return INVALID_HANDLE_VALUE;
    }
    return LIST;
}
__declspec(dllexport) BOOL WINAPI FakeSetupDiDestroyDeviceInfoList(HDEVINFO list) { return list == LIST; }
static BOOL no_more(void) { SetLastError(ERROR_NO_MORE_ITEMS); return FALSE; }
__declspec(dllexport) BOOL WINAPI FakeSetupDiEnumDeviceInfo(HDEVINFO list, DWORD index, SP_DEVINFO_DATA *data) {
    if (list != LIST || data->cbSize != sizeof *data) { wrong("SP_DEVINFO_DATA"); SetLastError(ERROR_INVALID_USER_BUFFER); return FALSE; }
    if (index > 1) return no_more();
    data->DevInst = index;
    return TRUE;
}
__declspec(dllexport) BOOL WINAPI FakeSetupDiEnumDeviceInterfaces(HDEVINFO list, SP_DEVINFO_DATA *device, const GUID *class, DWORD index, SP_DEVICE_INTERFACE_DATA *data) {
    ULONG i, known = 0;
    if (list != LIST || device || data->cbSize != sizeof *data) { wrong("SP_DEVICE_INTERFACE_DATA"); SetLastError(ERROR_INVALID_USER_BUFFER); return FALSE; }
    for (i = 0; i < 2; i++) known |= IsEqualGUID(class, &CATEGORIES[i]);
    if (!known || index || problem) return no_more();
    data->InterfaceClassGuid = *class;
    data->Flags = SPINT_ACTIVE;
    return TRUE;
}
__declspec(dllexport) BOOL WINAPI FakeSetupDiGetDeviceInterfaceDetailW(HDEVINFO list, SP_DEVICE_INTERFACE_DATA *data, SP_DEVICE_INTERFACE_DETAIL_DATA_W *detail, DWORD bytes, DWORD *needed, SP_DEVINFO_DATA *device) {
    (void)needed, (void)device;
    if (list != LIST || detail->cbSize != sizeof *detail || bytes < 300 || !(data->Flags & SPINT_ACTIVE)) { wrong("SP_DEVICE_INTERFACE_DETAIL_DATA"); SetLastError(ERROR_INVALID_USER_BUFFER); return FALSE; }
    wsprintfW(detail->DevicePath, L"\\\\?\\pci#ven_1af4&dev_1067&subsys_11001af4&rev_01#3&11583659&0&18#{%08lx-0000-0000-0000-000000000000}\\directmusic", data->InterfaceClassGuid.Data1);
    return TRUE;
}
__declspec(dllexport) BOOL WINAPI FakeSetupDiGetDeviceInstanceIdW(HDEVINFO list, SP_DEVINFO_DATA *device, PWSTR id, DWORD units, DWORD *needed) {
    (void)needed;
    if (list != LIST || units < 200) return wrong("instance id"), FALSE;
    lstrcpyW(id, device->DevInst ? INSTANCE : L"PCI\\VEN_8086&DEV_29C0\\0");
    return TRUE;
}
__declspec(dllexport) BOOL WINAPI FakeSetupDiGetDeviceRegistryPropertyW(HDEVINFO list, SP_DEVINFO_DATA *device, DWORD property, DWORD *type, BYTE *value, DWORD bytes, DWORD *needed) {
    static const WCHAR CARD[] = L"PCI\\VEN_1AF4&DEV_1067&SUBSYS_11001AF4&REV_01\0PCI\\VEN_1AF4&DEV_1067\0", OTHER[] = L"PCI\\VEN_8086&DEV_29C0\0";
    (void)type, (void)needed;
    if (list != LIST || property != SPDRP_HARDWAREID || bytes < sizeof CARD) return wrong("registry property"), FALSE;
    if (device->DevInst) memcpy(value, CARD, sizeof CARD); else memcpy(value, OTHER, sizeof OTHER);
    return TRUE;
}
static SP_PROPCHANGE_PARAMS change;
static SP_REMOVEDEVICE_PARAMS removal;
__declspec(dllexport) BOOL WINAPI FakeSetupDiSetClassInstallParamsW(HDEVINFO list, SP_DEVINFO_DATA *device, SP_CLASSINSTALL_HEADER *header, DWORD bytes) {
    int is_change = header->InstallFunction == DIF_PROPERTYCHANGE;
    if (list != LIST || !device->DevInst || header->cbSize != sizeof *header || bytes != (is_change ? sizeof change : sizeof removal)) return wrong("class install parameters"), FALSE;
    memcpy(is_change ? (void *)&change : (void *)&removal, header, bytes);
    return TRUE;
}
__declspec(dllexport) BOOL WINAPI FakeSetupDiCallClassInstaller(DI_FUNCTION function, HDEVINFO list, SP_DEVINFO_DATA *device) {
    if (list != LIST || !device->DevInst) return wrong("class installer"), FALSE;
    if (function == DIF_PROPERTYCHANGE) {
        if (change.Scope != DICS_FLAG_GLOBAL) return wrong("scope"), FALSE;
        say("change %lu", change.StateChange);
        problem = change.StateChange == DICS_DISABLE ? 22 : 0;
    } else if (function == DIF_REMOVE && removal.Scope == DI_REMOVEDEVICE_GLOBAL) {
        say("remove");
        problem = 45; /* CM_PROB_PHANTOM */
    } else return wrong("function"), FALSE;
    return TRUE;
}
__declspec(dllexport) BOOL WINAPI FakeSetupDiGetDeviceInstallParamsW(HDEVINFO list, SP_DEVINFO_DATA *device, SP_DEVINSTALL_PARAMS_W *parameters) {
    if (list != LIST || !device->DevInst || parameters->cbSize != sizeof *parameters) return wrong("SP_DEVINSTALL_PARAMS"), FALSE;
    parameters->Flags = 0;
    return TRUE;
}
__declspec(dllexport) ULONG WINAPI FakeCM_Get_DevNode_Status(ULONG *status, ULONG *number, DWORD device, ULONG flags) {
    if (!device || flags) return wrong("device node"), 5;
    *status = problem ? 0x400 : 0x8;
    *number = problem;
    return 0;
}
__declspec(dllexport) BOOL WINAPI FakeUpdateDriverForPlugAndPlayDevicesW(HWND window, LPCWSTR id, LPCWSTR inf, DWORD flags, BOOL *reboot) {
    say("install %ls %ls", inf, id);
    if (window || flags != 5) return wrong("UpdateDriverForPlugAndPlayDevices"), FALSE;
    *reboot = FALSE;
    return TRUE;
}
