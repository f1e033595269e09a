// SPDX-License-Identifier: Apache-2.0
// Runs input vectors through pimc_tb in any event-driven simulator and dumps the waveform, for
// `pimc check DIR --wave FILE`.
//
//   +mem=DIR       folder of the bank images
//   +program=FILE  program words
//   +host=FILE     what the host does, one thing after the other
//   +wave=FILE     VCD to write
//
// What the host does is a word each of {8 bits what, 8 bits bank, 32 bits address, 32 bits column, 256
// bits data}:
//
//   0  write the data to the address of vector memory
//   1  write them to the address of argument memory, where there is one
//   2  write them to a bank's column in the row that the address says, where banks are written
//   3  run the program
//   4  print the result words, after `vector N` where there are several vectors
//
// What is run, in numbers, is in the packages pimc_tb_pkg and pimc_run_pkg.
//
// Prints `done` in the end, or what went wrong.
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
  logic                    mem_we = 1'b0;
  logic [7:0]              mem_bank = '0;
  logic [RowBits-1:0]      mem_row = '0;
  logic [ColAddrBits-1:0]  mem_col = '0;
  logic [ColBits-1:0]      mem_data = '0;
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
      .host_mem_we_i  (mem_we),
      .host_mem_bank_i(mem_bank),
      .host_mem_row_i (mem_row),
      .host_mem_col_i (mem_col),
      .host_mem_data_i(mem_data),
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
  logic [335:0]        host_words    [0:HostWords-1];
  logic [335:0]        word;
  string               file;
  int                  clocks;
  int                  vector;
  logic                stuck;
  wire                 unused_word = &{1'b0, word};

  // Everything is driven at the falling edge, half a clock before it is sampled.
  initial begin
    if ($value$plusargs("wave=%s", file) != 0) begin
      $dumpfile(file);
      $dumpvars(0, pimc_run);
    end
    if ($value$plusargs("program=%s", file) != 0) $readmemh(file, program_words);
    if ($value$plusargs("host=%s", file) != 0) $readmemh(file, host_words);
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

    clocks = 0;
    vector = 0;
    stuck  = 1'b0;
    for (int i = 0; i < HostWords && !stuck; i = i + 1) begin
      word = host_words[i];
      case (word[335:328])
        8'd0: begin
          host_we    = 1'b1;
          host_addr  = word[288+:AddrBits];
          host_wdata = word[WordBits-1:0];
          @(negedge clk) host_we = 1'b0;
        end
`ifdef PIMC_TB_WRITES
        8'd1: begin
          arg_we   = 1'b1;
          arg_addr = word[288+:ArgAddrBits];
          arg_data = word[31:0];
          @(negedge clk) arg_we = 1'b0;
        end
        8'd2: begin
          mem_we   = 1'b1;
          mem_bank = word[327:320];
          mem_row  = word[288+:RowBits];
          mem_col  = word[256+:ColAddrBits];
          mem_data = word[ColBits-1:0];
          @(negedge clk) mem_we = 1'b0;
        end
`endif
        8'd3: begin
          start = 1'b1;
          @(negedge clk) start = 1'b0;
          clocks = 0;
          while (done !== 1'b1 && clocks < MaxClocks) begin
            @(negedge clk) clocks = clocks + 1;
          end
          @(negedge clk) stuck = clocks == MaxClocks;
        end
        default: begin
          if (Vectors > 1) $display("vector %0d", vector);
          vector = vector + 1;
          for (int at = 0; at < ResultLen; at = at + 1) begin
            host_addr = AddrBits'(ResultAddr + at);
            @(negedge clk) $display("result %0d %0d", at, $signed(host_rdata));
          end
        end
      endcase
    end
    if (stuck) $display("no end after %0d clocks", MaxClocks);
    else if (violations != 0) $display("%0d DRAM rules broken", violations);
    else $display("done");
    $finish;
  end

endmodule

`default_nettype wire
