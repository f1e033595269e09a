//! Library modules: parametric, the same in every design.

/// The memory's module name.
pub const RAM: &str = "pimc_ram_1r1w";

/// What its header says.
pub const RAM_CONTRACT: [&str; 4] = [
    "Synchronous memory: one write port, one read port.",
    "Latency: rdata_o is the word at raddr_i one clock later, from before a write in that clock.",
    "Reset: none, so that it maps to a RAM macro; what is read before it is written is undefined.",
    "Preconditions: addresses below Depth.",
];

/// Its text below the header.
pub const RAM_TEXT: &str = "\
module pimc_ram_1r1w #(
  parameter int AddrW = 4,
  parameter int DataW = 8,
  parameter int Depth = 16
) (
  input  logic             clk_i,

  // write port
  input  logic             we_i,
  input  logic [AddrW-1:0] waddr_i,
  input  logic [DataW-1:0] wdata_i,

  // read port
  input  logic [AddrW-1:0] raddr_i,
  output logic [DataW-1:0] rdata_o
);

  logic [DataW-1:0] mem [Depth];

  always_ff @(posedge clk_i) begin
    if (we_i) begin
      mem[waddr_i] <= wdata_i;
    end
    rdata_o <= mem[raddr_i];
  end

endmodule : pimc_ram_1r1w
";
