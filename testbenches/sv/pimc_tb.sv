// SPDX-License-Identifier: Apache-2.0
// Testbench: one pimc_channel and a DRAM bank model behind each of its bank units.
//
// The numbers of the channel that was generated and the timing of the DRAM are in the package
// pimc_tb_pkg, which the co-simulation writes; where the channel takes arguments and writes columns,
// it defines PIMC_TB_WRITES besides. The ports are the channel's host side, its command
// port, and what the bank models have to say about the commands.
`default_nettype none

module pimc_tb
  import pimc_tb_pkg::*;
  import pimc_dram_pkg::*;
(
    input  wire                     clk_i,
    input  wire                     rst_ni,

    // bank images: read from DIR/bank_NN.hex at a clock edge while high
    input  wire                     load_i,
    input  wire                     quiet_i,

    // program memory
    input  wire                     prog_we_i,
    input  wire  [ProgAddrBits-1:0] prog_addr_i,
    input  wire  [ProgBits-1:0]     prog_data_i,

`ifdef PIMC_TB_WRITES
    // argument memory
    input  wire                     arg_we_i,
    input  wire  [ArgAddrBits-1:0]  arg_addr_i,
    input  wire  [31:0]             arg_data_i,

    // columns of the banks, which the host writes between runs; during a run nothing is written
    input  wire                     host_mem_we_i,
    input  wire  [7:0]              host_mem_bank_i,
    input  wire  [RowBits-1:0]      host_mem_row_i,
    input  wire  [ColAddrBits-1:0]  host_mem_col_i,
    input  wire  [ColBits-1:0]      host_mem_data_i,

`endif
    // vector memory
    input  wire                     host_we_i,
    input  wire  [AddrBits-1:0]     host_addr_i,
    input  wire  [WordBits-1:0]     host_wdata_i,
    output wire  [WordBits-1:0]     host_rdata_o,

    // run
    input  wire                     start_i,
    output wire                     busy_o,
    output wire                     done_o,

    // what goes to the DRAM
    output wire                     cmd_valid_o,
    output wire  [CmdBits-1:0]      cmd_o,
    output wire  [RowBits-1:0]      cmd_row_o,
    output wire  [ColAddrBits-1:0]  cmd_col_o,

    // clock cycles since reset, and the first broken DRAM rule of the channel (bank_o is then 255)
    // or the lowest bank that has one
    output wire  [63:0]             now_o,
    output wire  [31:0]             violations_o,
    output logic [7:0]              bank_o,
    output logic [7:0]              rule_o,
    output logic [63:0]             cycle_o,
    output logic [63:0]             earliest_o
);

  wire [Banks*ColBits-1:0] rd_data;
  wire [Banks*ColBits-1:0] wr_data;

  pimc_channel u_channel (
      .clk_i       (clk_i),
      .rst_ni      (rst_ni),
      .cmd_valid_o (cmd_valid_o),
      .cmd_o       (cmd_o),
      .cmd_row_o   (cmd_row_o),
      .cmd_col_o   (cmd_col_o),
      .rd_data_i   (rd_data),
`ifdef PIMC_TB_WRITES
      .wr_data_o   (wr_data),
      .arg_we_i    (arg_we_i),
      .arg_addr_i  (arg_addr_i),
      .arg_data_i  (arg_data_i),
`endif
      .prog_we_i   (prog_we_i),
      .prog_addr_i (prog_addr_i),
      .prog_data_i (prog_data_i),
      .host_we_i   (host_we_i),
      .host_addr_i (host_addr_i),
      .host_wdata_i(host_wdata_i),
      .host_rdata_o(host_rdata_o),
      .start_i     (start_i),
      .busy_o      (busy_o),
      .done_o      (done_o)
  );

`ifdef PIMC_TB_WRITES
  wire                    mem_we   = host_mem_we_i && !busy_o;
  wire  [7:0]             mem_bank = host_mem_bank_i;
  wire  [RowBits-1:0]     mem_row  = host_mem_row_i;
  wire  [ColAddrBits-1:0] mem_col  = host_mem_col_i;
  wire  [ColBits-1:0]     mem_data = host_mem_data_i;
`else
  wire                    mem_we   = 1'b0;
  wire  [7:0]             mem_bank = '0;
  wire  [RowBits-1:0]     mem_row  = '0;
  wire  [ColAddrBits-1:0] mem_col  = '0;
  wire  [ColBits-1:0]     mem_data = '0;
  assign wr_data = '0;
`endif

  // ---- rules between banks ----
  wire timing_t timing = Timing;

  logic [63:0] now_q;
  wire  [7:0]  bus_rule;
  wire  [63:0] bus_earliest;

  pimc_dram_bus u_bus (
      .clk_i      (clk_i),
      .rst_ni     (rst_ni),
      .now_i      (now_q),
      .timing_i   (timing),
      .whole_i    (1'b1),
      .cmd_valid_i(cmd_valid_o),
      .cmd_i      (3'(cmd_o)),
      .all_i      (1'b1),
      .bank_i     (8'd0),
      .end_i      (done_o),
      .rule_o     (bus_rule),
      .earliest_o (bus_earliest)
  );

  logic [31:0] bus_violations;
  logic [7:0]  bus_first_rule;
  logic [63:0] bus_first_cycle, bus_first_earliest;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      bus_violations     <= '0;
      bus_first_rule     <= '0;
      bus_first_cycle    <= '0;
      bus_first_earliest <= '0;
    end else if (bus_rule != 8'd0) begin
      bus_violations <= bus_violations + 32'd1;
      if (bus_violations == 32'd0) begin
        bus_first_rule     <= bus_rule;
        bus_first_cycle    <= now_q;
        bus_first_earliest <= bus_earliest;
      end
    end
  end

  always @(posedge clk_i) begin
    if (bus_rule != 8'd0 && !quiet_i) begin
      $display("the channel breaks rule %0d in cycle %0d, legal from %0d", bus_rule, now_q,
               bus_earliest);
    end
  end

  // ---- banks ----
  wire [31:0] violations [0:Banks-1];
  wire [7:0]  rule       [0:Banks-1];
  wire [63:0] cycle      [0:Banks-1];
  wire [63:0] earliest   [0:Banks-1];

  generate
    for (genvar b = 0; b < Banks; b++) begin : gen_dram
      pimc_dram_bank #(
          .Rows        (Rows),
          .ImageRows   (ImageRows),
          .Cols        (Cols),
          .ColBits     (ColBits),
          .ReadLatency (ReadLatency),
          .WriteLatency(WriteLatency)
      ) u_dram (
          .clk_i       (clk_i),
          .rst_ni      (rst_ni),
          .timing_i    (timing),
          .bank_i      (8'(b)),
          .load_i      (load_i),
          .quiet_i     (quiet_i),
          .cs_i        (1'b1),
          .cmd_valid_i (cmd_valid_o),
          .cmd_i       (3'(cmd_o)),
          .one_i       (1'b0),
          .cmd_row_i   (cmd_row_o),
          .cmd_col_i   (cmd_col_o),
          .end_i       (done_o),
          .rd_data_o   (rd_data[ColBits*b+:ColBits]),
          .wr_data_i   (wr_data[ColBits*b+:ColBits]),
          .mem_we_i    (mem_we && mem_bank == 8'(b)),
          .mem_row_i   (mem_row),
          .mem_col_i   (mem_col),
          .mem_data_i  (mem_data),
          .violations_o(violations[b]),
          .rule_o      (rule[b]),
          .cycle_o     (cycle[b]),
          .earliest_o  (earliest[b])
      );
    end
  endgenerate

  // ---- clock cycles since reset ----
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) now_q <= '0;
    else now_q <= now_q + 64'd1;
  end
  assign now_o = now_q;

  // ---- the channel or the lowest bank that has a violation ----
  logic [31:0] total;
  always_comb begin
    total      = bus_violations;
    bank_o     = '0;
    rule_o     = '0;
    cycle_o    = '0;
    earliest_o = '0;
    for (int b = Banks - 1; b >= 0; b--) begin
      total = total + violations[b];
      if (violations[b] != 0) begin
        bank_o     = 8'(b);
        rule_o     = rule[b];
        cycle_o    = cycle[b];
        earliest_o = earliest[b];
      end
    end
    if (bus_violations != 0) begin
      bank_o     = 8'd255;
      rule_o     = bus_first_rule;
      cycle_o    = bus_first_cycle;
      earliest_o = bus_first_earliest;
    end
  end
  assign violations_o = total;

endmodule

`default_nettype wire
