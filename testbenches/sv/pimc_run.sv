// SPDX-License-Identifier: Apache-2.0
// Runs one input vector through pimc_tb in any event-driven simulator and dumps the waveform, for
// `pimc check DIR --wave FILE`.
//
//   +mem=DIR       folder of the bank images
//   +program=FILE  program words
//   +host=FILE     what the host writes to vector memory: words of {32-bit address, 64-bit data}
//   +args=FILE     arguments of the program, where it takes some
//   +wave=FILE     VCD to write
//
// What is run, in numbers, is in the packages pimc_tb_pkg and pimc_run_pkg.
//
// Prints the result words, then `done` or what went wrong.
`default_nettype none

module pimc_run
  import pimc_tb_pkg::*;
  import pimc_run_pkg::*;
();

  logic                    clk = 1'b0;
  logic                    rst_n = 1'b1;
  logic                    load = 1'b0;
  logic                    prog_we = 1'b0;
  logic [ProgAddrBits-1:0] prog_addr = '0;
  logic [ProgBits-1:0]     prog_data = '0;
`ifdef PIMC_TB_WRITES
  logic                    arg_we = 1'b0;
  logic [ArgAddrBits-1:0]  arg_addr = '0;
  logic [31:0]             arg_data = '0;
`endif
  logic                    host_we = 1'b0;
  logic [AddrBits-1:0]     host_addr = '0;
  logic [WordBits-1:0]     host_wdata = '0;
  logic                    start = 1'b0;

  wire  [WordBits-1:0]     host_rdata;
  wire                     busy, done, cmd_valid;
  wire  [CmdBits-1:0]      cmd;
  wire  [RowBits-1:0]      cmd_row;
  wire  [ColAddrBits-1:0]  cmd_col;
  wire  [63:0]             now, cycle, earliest;
  wire  [31:0]             violations;
  wire  [7:0]              bank, rule;

  pimc_tb u_tb (
      .clk_i       (clk),
      .rst_ni      (rst_n),
      .load_i      (load),
      .quiet_i     (1'b0),
      .prog_we_i   (prog_we),
      .prog_addr_i (prog_addr),
      .prog_data_i (prog_data),
`ifdef PIMC_TB_WRITES
      .arg_we_i    (arg_we),
      .arg_addr_i  (arg_addr),
      .arg_data_i  (arg_data),
`endif
      .host_we_i   (host_we),
      .host_addr_i (host_addr),
      .host_wdata_i(host_wdata),
      .host_rdata_o(host_rdata),
      .start_i     (start),
      .busy_o      (busy),
      .done_o      (done),
      .cmd_valid_o (cmd_valid),
      .cmd_o       (cmd),
      .cmd_row_o   (cmd_row),
      .cmd_col_o   (cmd_col),
      .now_o       (now),
      .violations_o(violations),
      .bank_o      (bank),
      .rule_o      (rule),
      .cycle_o     (cycle),
      .earliest_o  (earliest)
  );

  // Only for the waveform.
  wire unused = &{1'b0, busy, cmd_valid, cmd, cmd_row, cmd_col, now, bank, rule, cycle, earliest};

  initial forever #5 clk = ~clk;

  logic [ProgBits-1:0] program_words [0:ProgWords-1];
  logic [95:0]         host_words    [0:HostWords-1];
`ifdef PIMC_TB_WRITES
  logic [31:0]         arg_words     [0:ArgWords-1];
`endif
  string               file;
  int                  clocks;

  // Everything is driven at the falling edge, half a clock before it is sampled.
  initial begin
    if ($value$plusargs("wave=%s", file) != 0) begin
      $dumpfile(file);
      $dumpvars(0, pimc_run);
    end
    if ($value$plusargs("program=%s", file) != 0) $readmemh(file, program_words);
    if ($value$plusargs("host=%s", file) != 0) $readmemh(file, host_words);
`ifdef PIMC_TB_WRITES
    if ($value$plusargs("args=%s", file) != 0) $readmemh(file, arg_words);
`endif
    @(negedge clk) rst_n = 1'b0;
    load = 1'b1;
    repeat (2) @(negedge clk);
    load = 1'b0;
    @(negedge clk) rst_n = 1'b1;

    prog_we = 1'b1;
    for (int i = 0; i < ProgWords; i = i + 1) begin
      prog_addr = ProgAddrBits'(i);
      prog_data = program_words[i];
      @(negedge clk);
    end
    prog_we = 1'b0;

`ifdef PIMC_TB_WRITES
    arg_we = 1'b1;
    for (int i = 0; i < ArgWords; i = i + 1) begin
      arg_addr = ArgAddrBits'(i);
      arg_data = arg_words[i];
      @(negedge clk);
    end
    arg_we = 1'b0;

`endif
    host_we = 1'b1;
    for (int i = 0; i < HostWords; i = i + 1) begin
      host_addr  = host_words[i][64+:AddrBits];
      host_wdata = host_words[i][WordBits-1:0];
      @(negedge clk);
    end
    host_we = 1'b0;

    start = 1'b1;
    @(negedge clk) start = 1'b0;
    clocks = 0;
    while (done !== 1'b1 && clocks < MaxClocks) begin
      @(negedge clk) clocks = clocks + 1;
    end
    @(negedge clk);

    for (int i = 0; i < ResultLen; i = i + 1) begin
      host_addr = AddrBits'(ResultAddr + i);
      @(negedge clk) $display("result %0d %0d", i, $signed(host_rdata));
    end
    if (clocks == MaxClocks) $display("no end after %0d clocks", MaxClocks);
    else if (violations != 0) $display("%0d DRAM rules broken", violations);
    else $display("done");
    $finish;
  end

endmodule

`default_nettype wire
