// SPDX-License-Identifier: Apache-2.0
// One DRAM bank as a processing-in-memory unit sees it, with its timing rules checked.
//
// Command c is on the port during the clock cycle in which cmd_valid_i is high. The column of a read is on rd_data_o exactly ReadLatency cycles after the
// read's cycle and for that one cycle; in all other cycles rd_data_o carries a pattern that no
// column is and that changes with every read, so a unit that samples early or late computes
// something else.
//
// Content: while load_i is high, a clock edge reads `DIR/bank_NN.hex` (DIR from the plusarg
// +mem=DIR, NN the bank number in two decimal digits), one column a word, row by row.
// Rows from ImageRows on hold nothing: reading one gives the pattern.
//
// The column of a write is taken from wr_data_i at the end of the cycle WriteLatency cycles after the
// write's, and kept until it is written again or images are loaded; a write that is one of a row
// without content is not kept. With a WriteLatency of 0 nothing is.
//
// Between runs the host writes columns past all timing: at a clock edge with mem_we_i high the column
// (mem_row_i, mem_col_i) becomes mem_data_i, unless its row is one without content.
//
// The rules that it checks are those of pimc_dram_rules; the rules between banks are in
// pimc_dram_bus. The first broken rule is kept on the violation outputs (with its cycle, counted from reset, and the earliest
// cycle at which the command would have been legal), every one is counted, and printed unless
// quiet_i is high.
`default_nettype none

module pimc_dram_bank
  import pimc_dram_pkg::*;
#(
    parameter int Rows        = 16,   // rows of the bank, as addressed
    parameter int ImageRows   = 16,   // rows that have content
    parameter int Cols        = 32,   // columns of a row
    parameter int ColBits     = 256,  // bits of a column
    parameter int ReadLatency = 4,    // from a read to its data, at least 1
    parameter int WriteLatency = 0,   // from a write to its data; 0 where nothing is written
    localparam int RowBits = Rows > 1 ? $clog2(Rows) : 1,
    localparam int ColAddrBits = Cols > 1 ? $clog2(Cols) : 1
) (
    input  wire                    clk_i,
    input  wire                    rst_ni,
    input  wire timing_t           timing_i,
    input  wire  [7:0]             bank_i,
    input  wire                    load_i,
    input  wire                    quiet_i,

    // command port
    input  wire                    cs_i,
    input  wire                    cmd_valid_i,
    input  wire  [2:0]             cmd_i,
    input  wire                    one_i,     // to this bank alone
    input  wire  [RowBits-1:0]     cmd_row_i,
    input  wire  [ColAddrBits-1:0] cmd_col_i,
    input  wire                    end_i,     // a run ends
    output logic [ColBits-1:0]     rd_data_o,
    input  wire  [ColBits-1:0]     wr_data_i,

    // the host's write port
    input  wire                    mem_we_i,
    input  wire  [RowBits-1:0]     mem_row_i,
    input  wire  [ColAddrBits-1:0] mem_col_i,
    input  wire  [ColBits-1:0]     mem_data_i,

    // first broken rule and how many
    output logic [31:0]            violations_o,
    output logic [7:0]             rule_o,
    output logic [63:0]            cycle_o,
    output logic [63:0]            earliest_o
);

  localparam int DEPTH = ImageRows * Cols;
  localparam int ADDR_BITS = DEPTH > 1 ? $clog2(DEPTH) : 1;
  localparam int FIFO_BITS = ReadLatency > 1 ? $clog2(ReadLatency + 1) : 1;
  localparam int WORDS = (ColBits + 31) / 32;

  // ---- content ----
  logic [ColBits-1:0] mem [0:DEPTH-1];

  wire                 take;     // the data of a write are there
  wire [ADDR_BITS-1:0] take_at;  // and belong there
  wire [31:0]          host_at = 32'(mem_row_i) * 32'(Cols) + 32'(mem_col_i);
  wire                 unused_host = &{1'b0, host_at};

  always @(posedge clk_i) begin : load_image
    string dir;
    if (load_i) begin
      if ($value$plusargs("mem=%s", dir) != 0) begin
        $readmemh($sformatf("%0s/bank_%02d.hex", dir, bank_i), mem);
      end
    end else if (take) begin
      mem[take_at] <= wr_data_i;
    end else if (mem_we_i && 32'(mem_row_i) < 32'(ImageRows)) begin
      mem[host_at[ADDR_BITS-1:0]] <= mem_data_i;
    end
  end

  // ---- commands ----
  wire cmd = cs_i && cmd_valid_i;
  wire read = cmd && cmd_i == CMD_READ;

  logic [63:0] now_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) now_q <= '0;
    else now_q <= now_q + 64'd1;
  end

  // ---- rules ----
  wire        open;
  wire [31:0] row_q;
  wire [7:0]  rule;      // that the command of this cycle breaks; 0 if none
  wire [63:0] earliest;  // first cycle in which it would not have
  wire        late;
  wire [63:0] deadline;

  pimc_dram_rules u_rules (
      .clk_i      (clk_i),
      .rst_ni     (rst_ni),
      .now_i      (now_q),
      .timing_i   (timing_i),
      .cmd_valid_i(cmd),
      .cmd_i      (cmd_i),
      .one_i      (one_i),
      .cmd_row_i  (32'(cmd_row_i)),
      .cmd_col_i  (32'(cmd_col_i)),
      .check_row_i(1'b0),
      .end_i      (end_i),
      .open_o     (open),
      .row_o      (row_q),
      .rule_o     (rule),
      .earliest_o (earliest),
      .late_o     (late),
      .deadline_o (deadline)
  );

  // ---- read data ----
  logic [ReadLatency-1:0] due;  // bit i: a read was i cycles ago
  logic [ADDR_BITS-1:0]   fifo_q [0:(1<<FIFO_BITS)-1];
  logic                   blank_q [0:(1<<FIFO_BITS)-1];
  logic [FIFO_BITS-1:0]   put_q, get_q;
  logic [31:0]            noise_q;

  generate
    if (ReadLatency > 1) begin : gen_due
      logic [ReadLatency-2:0] due_q;
      always_ff @(posedge clk_i or negedge rst_ni) begin
        if (!rst_ni) due_q <= '0;
        else due_q <= due[ReadLatency-2:0];
      end
      assign due = {due_q, read};
    end else begin : gen_due
      assign due = read;
    end
  endgenerate

  wire [31:0]          addr = row_q * 32'(Cols) + 32'(cmd_col_i);
  wire                 blank = row_q >= 32'(ImageRows);
  wire [ADDR_BITS-1:0] addr_out = ReadLatency > 1 ? fifo_q[get_q] : addr[ADDR_BITS-1:0];
  wire                 blank_out = ReadLatency > 1 ? blank_q[get_q] : blank;
  wire [32*WORDS-1:0]  pattern = {WORDS{noise_q}};
  wire                 unused_bits = &{1'b0, pattern, addr, open};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      put_q     <= '0;
      get_q     <= '0;
      noise_q   <= 32'h9e3779b9 ^ {24'd0, bank_i};
      rd_data_o <= '0;
    end else begin
      if (read) begin
        fifo_q[put_q]  <= addr[ADDR_BITS-1:0];
        blank_q[put_q] <= blank;
        put_q          <= put_q + 1'b1;
      end
      if (due[ReadLatency-1]) begin
        get_q     <= get_q + 1'b1;
        rd_data_o <= blank_out ? pattern[ColBits-1:0] : mem[addr_out];
        noise_q   <= {noise_q[30:0], noise_q[31] ^ noise_q[21] ^ noise_q[1] ^ noise_q[0]};
      end else begin
        rd_data_o <= pattern[ColBits-1:0];
      end
    end
  end

  // ---- written data ----
  generate
    if (WriteLatency > 0) begin : gen_write
      wire                    write = cmd && cmd_i == CMD_WRITE && open && !blank;
      logic [WriteLatency-1:0] due_q;  // bit i: a write was i + 1 cycles ago
      logic [ADDR_BITS-1:0]    at_q [0:WriteLatency-1];
      always_ff @(posedge clk_i or negedge rst_ni) begin
        if (!rst_ni) begin
          due_q <= '0;
        end else begin
          due_q <= WriteLatency'({due_q, write});
        end
      end
      always_ff @(posedge clk_i) begin
        at_q[0] <= addr[ADDR_BITS-1:0];
        for (int i = 1; i < WriteLatency; i = i + 1) at_q[i] <= at_q[i-1];
      end
      assign take    = due_q[WriteLatency-1];
      assign take_at = at_q[WriteLatency-1];
    end else begin : gen_write
      wire unused_data = &{1'b0, wr_data_i};
      assign take    = 1'b0;
      assign take_at = '0;
    end
  endgenerate

  // ---- what was broken ----
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      violations_o <= '0;
      rule_o       <= '0;
      cycle_o      <= '0;
      earliest_o   <= '0;
    end else if (rule != 8'd0 || late) begin
      violations_o <= violations_o + 32'(rule != 8'd0) + 32'(late);
      if (violations_o == 32'd0) begin
        rule_o     <= rule != 8'd0 ? rule : RULE_REFI;
        cycle_o    <= now_q;
        earliest_o <= rule != 8'd0 ? earliest : deadline;
      end
    end
  end

  // The report stands apart from the registers, so that none of them depends on a print. (In
  // reset no command comes and the cycle counter stands at 0, so no rule can be broken.)
  always @(posedge clk_i) begin
    if (rule != 8'd0 && !quiet_i) begin
      $display("bank %0d breaks rule %0d in cycle %0d, legal from %0d", bank_i, rule, now_q,
               earliest);
    end
    if (late && !quiet_i) begin
      $display("bank %0d is not refreshed in cycle %0d, the last for it", bank_i, deadline);
    end
  end

endmodule

`default_nettype wire
