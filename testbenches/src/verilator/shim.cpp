// Drives a verilated model from outside: made, clocked and traced through plain C functions, its
// ports written and read through pointers. Compiled in one piece with the model (see build.rs),
// which includes this text after the definition of PIMC_PORTS.
//
// One clock cycle is: clk_i low, settle, record; clk_i high, settle, record. So what the outside
// writes to a port between two cycles changes with the falling edge, and after a cycle the ports
// show what the rising edge made.

#include <cstdint>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>

namespace {

struct PimcHandle {
    VerilatedContext* context;
    Vpimc* top;
    PimcTrace* trace;
    bool tracing;
    uint64_t time;
    std::string message;
};

inline void pimc_tick(PimcHandle* h) {
    h->top->clk_i = 0;
    h->top->eval();
    if (h->tracing) h->trace->dump(h->time);
    h->time += 5;
    h->top->clk_i = 1;
    h->top->eval();
    if (h->tracing) h->trace->dump(h->time);
    h->time += 5;
}

template <typename F>
int pimc_guard(PimcHandle* h, F f) {
    try {
        f();
        return 0;
    } catch (const std::exception& e) {
        h->message = e.what();
        return 1;
    } catch (...) {
        h->message = "unknown exception";
        return 1;
    }
}

}  // namespace

// The runtime calls these where it would end the process.
void vl_fatal(const char* file, int line, const char*, const char* message) VL_MT_UNSAFE {
    throw std::runtime_error(std::string(file ? file : "") + ":" + std::to_string(line) + ": "
                             + message);
}
void vl_stop(const char* file, int line, const char*) VL_MT_UNSAFE {
    throw std::runtime_error(std::string(file ? file : "") + ":" + std::to_string(line)
                             + ": $stop");
}
void vl_finish(const char* file, int line, const char*) VL_MT_UNSAFE {
    throw std::runtime_error(std::string(file ? file : "") + ":" + std::to_string(line)
                             + ": $finish");
}

extern "C" {

// A model, or null. argv are plusargs.
PimcHandle* pimc_new(int argc, const char** argv) {
    PimcHandle* h = new PimcHandle{nullptr, nullptr, nullptr, false, 0, ""};
    int bad = pimc_guard(h, [&] {
        h->context = new VerilatedContext;
        h->context->commandArgs(argc, argv);
        h->context->traceEverOn(true);
        h->top = new Vpimc(h->context, "TOP");
        h->trace = new PimcTrace;
        h->top->trace(h->trace, 99);
    });
    if (bad) {
        delete h;
        return nullptr;
    }
    return h;
}

void pimc_free(PimcHandle* h) {
    if (h->tracing) h->trace->close();
    h->top->final();
    delete h->trace;
    delete h->top;
    delete h->context;
    delete h;
}

void* pimc_port(PimcHandle* h, unsigned index) {
    switch (index) {
#define PIMC_PORT(i, name) \
    case i: return &h->top->name;
        PIMC_PORTS
#undef PIMC_PORT
        default: return nullptr;
    }
}

size_t pimc_port_bytes(PimcHandle* h, unsigned index) {
    switch (index) {
#define PIMC_PORT(i, name) \
    case i: return sizeof(h->top->name);
        PIMC_PORTS
#undef PIMC_PORT
        default: return 0;
    }
}

// Runs n cycles; not 0 when the simulation stopped itself.
int pimc_clock(PimcHandle* h, uint64_t n) {
    return pimc_guard(h, [&] {
        for (uint64_t i = 0; i < n; ++i) pimc_tick(h);
    });
}

// Runs until a one-bit port is 1, at most n cycles; *ran is how many.
int pimc_clock_until(PimcHandle* h, unsigned port, uint64_t n, uint64_t* ran) {
    const uint8_t* bit = static_cast<const uint8_t*>(pimc_port(h, port));
    *ran = 0;
    return pimc_guard(h, [&] {
        while (*ran < n) {
            pimc_tick(h);
            ++*ran;
            if (*bit) break;
        }
    });
}

// Opens a wave file; not 0 when it could not be.
int pimc_trace_open(PimcHandle* h, const char* path) {
    return pimc_guard(h, [&] {
        h->trace->open(path);
        if (!h->trace->isOpen()) throw std::runtime_error(std::string("cannot write ") + path);
        h->tracing = true;
    });
}

void pimc_trace_close(PimcHandle* h) {
    if (h->tracing) h->trace->close();
    h->tracing = false;
}

const char* pimc_message(PimcHandle* h) { return h->message.c_str(); }
}
