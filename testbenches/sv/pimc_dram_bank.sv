// SPDX-License-Identifier: Apache-2.0
// One DRAM bank as a processing-in-memory unit sees it, with its timing rules checked.
//
// Commands come on the all-bank port: command c is on the port during the clock cycle in which
// cmd_valid_i is high. The column of a read is on rd_data_o exactly ReadLatency cycles after the
// read's cycle and for that one cycle; in all other cycles rd_data_o carries a pattern that no
// column is and that changes with every read, so a unit that samples early or late computes
// something else.
//
// Content: while load_i is high, a clock edge reads `DIR/bank_NN.hex` (DIR from the plusarg
// +mem=DIR, NN the bank number in two decimal digits), one column a word, row by row.
// Rows from ImageRows on hold nothing: reading one gives the pattern.
//
// Rules checked, in clock cycles between two commands: see the RULE_ constants. The first broken
// rule is kept on the violation outputs (with its cycle, counted from reset, and the earliest
// cycle at which the command would have been legal), every one is counted, and printed unless
// quiet_i is high.
`default_nettype none

module pimc_dram_bank #(
    parameter int Rows        = 16,   // rows of the bank, as addressed
    parameter int ImageRows   = 16,   // rows that have content
    parameter int Cols        = 32,   // columns of a row
    parameter int ColBits     = 256,  // bits of a column
    parameter int ReadLatency = 4,    // from a read to its data, at least 1
    parameter int TRcd        = 4,    // activate to read
    parameter int TRas        = 10,   // activate to precharge
    parameter int TRp         = 4,    // precharge to activate or refresh
    parameter int TRc         = 14,   // activate to activate
    parameter int TFaw        = 0,    // activate to activate where all banks share the window of four
    parameter int TCcd        = 2,    // read to read
    parameter int TRtp        = 2,    // read to precharge
    parameter int TRfc        = 20,   // refresh to activate, precharge or refresh
    parameter int TRefi       = 200,  // longest from refresh (or reset) to refresh
    localparam int RowBits = Rows > 1 ? $clog2(Rows) : 1,
    localparam int ColAddrBits = Cols > 1 ? $clog2(Cols) : 1
) (
    input  wire                    clk_i,
    input  wire                    rst_ni,
    input  wire  [7:0]             bank_i,
    input  wire                    load_i,
    input  wire                    quiet_i,

    // command port
    input  wire                    cs_i,
    input  wire                    cmd_valid_i,
    input  wire  [1:0]             cmd_i,
    input  wire  [RowBits-1:0]     cmd_row_i,
    input  wire  [ColAddrBits-1:0] cmd_col_i,
    output logic [ColBits-1:0]     rd_data_o,

    // first broken rule and how many
    output logic [31:0]            violations_o,
    output logic [7:0]             rule_o,
    output logic [63:0]            cycle_o,
    output logic [63:0]            earliest_o
);

  localparam logic [1:0] CMD_ACT = 2'd0;
  localparam logic [1:0] CMD_READ = 2'd1;
  localparam logic [1:0] CMD_PRE = 2'd2;
  localparam logic [1:0] CMD_REF = 2'd3;

  localparam logic [7:0] RULE_RCD = 8'd1;  // activate to read
  localparam logic [7:0] RULE_RAS = 8'd2;  // activate to precharge
  localparam logic [7:0] RULE_RP = 8'd3;  // precharge to activate or refresh
  localparam logic [7:0] RULE_RC = 8'd4;  // activate to activate
  localparam logic [7:0] RULE_CCD = 8'd5;  // read to read
  localparam logic [7:0] RULE_RTP = 8'd6;  // read to precharge
  localparam logic [7:0] RULE_RFC = 8'd7;  // refresh to activate, precharge or refresh
  localparam logic [7:0] RULE_REFI = 8'd8;  // refresh deadline
  localparam logic [7:0] RULE_OPEN = 8'd9;  // activate or refresh while a row is open
  localparam logic [7:0] RULE_CLOSED = 8'd10;  // read while no row is open
  localparam logic [7:0] RULE_RANGE = 8'd11;  // row or column that the bank does not have
  localparam logic [7:0] RULE_FAW = 8'd12;  // all-bank activate to all-bank activate

  localparam int DEPTH = ImageRows * Cols;
  localparam int ADDR_BITS = DEPTH > 1 ? $clog2(DEPTH) : 1;
  localparam int FIFO_BITS = ReadLatency > 1 ? $clog2(ReadLatency + 1) : 1;
  localparam int WORDS = (ColBits + 31) / 32;

  // ---- content ----
  logic [ColBits-1:0] mem [0:DEPTH-1];

  always @(posedge clk_i) begin : load_image
    string dir;
    if (load_i) begin
      if ($value$plusargs("mem=%s", dir) != 0) begin
        $readmemh($sformatf("%0s/bank_%02d.hex", dir, bank_i), mem);
      end
    end
  end

  // ---- commands ----
  wire cmd = cs_i && cmd_valid_i;
  wire act = cmd && cmd_i == CMD_ACT;
  wire read = cmd && cmd_i == CMD_READ;
  wire pre = cmd && cmd_i == CMD_PRE;
  wire refresh = cmd && cmd_i == CMD_REF;

  // ---- row state and the last cycle of each command ----
  logic [7:0]         rule;      // that the command of this cycle breaks; 0 if none
  logic [63:0]        earliest;  // first cycle in which it would not have
  logic [63:0]        now_q;
  logic               open_q;
  logic [RowBits-1:0] row_q;
  logic               seen_act_q, seen_read_q, seen_pre_q, seen_ref_q, late_q;
  logic [63:0]        act_q, read_q, pre_q, ref_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      now_q       <= '0;
      open_q      <= 1'b0;
      row_q       <= '0;
      seen_act_q  <= 1'b0;
      seen_read_q <= 1'b0;
      seen_pre_q  <= 1'b0;
      seen_ref_q  <= 1'b0;
      late_q      <= 1'b0;
      act_q       <= '0;
      read_q      <= '0;
      pre_q       <= '0;
      ref_q       <= '0;
    end else begin
      now_q <= now_q + 64'd1;
      if (act) begin
        open_q     <= 1'b1;
        row_q      <= cmd_row_i;
        seen_act_q <= 1'b1;
        act_q      <= now_q;
      end
      if (read) begin
        seen_read_q <= 1'b1;
        read_q      <= now_q;
      end
      if (pre) begin
        open_q     <= 1'b0;
        seen_pre_q <= 1'b1;
        pre_q      <= now_q;
      end
      if (refresh) begin
        seen_ref_q <= 1'b1;
        ref_q      <= now_q;
        late_q     <= 1'b0;
      end else if (rule == RULE_REFI) begin
        late_q <= 1'b1;
      end
    end
  end

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

  wire [31:0]          row_ext = 32'(row_q);
  wire [31:0]          addr = row_ext * 32'(Cols) + 32'(cmd_col_i);
  wire                 blank = row_ext >= 32'(ImageRows);
  wire [ADDR_BITS-1:0] addr_out = ReadLatency > 1 ? fifo_q[get_q] : addr[ADDR_BITS-1:0];
  wire                 blank_out = ReadLatency > 1 ? blank_q[get_q] : blank;
  wire [32*WORDS-1:0]  pattern = {WORDS{noise_q}};
  wire                 unused_bits = &{1'b0, pattern, addr};

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

  // ---- rules ----
  // A rule's earliest legal cycle is the earlier command's cycle plus the rule's interval; a
  // command broken by several rules is reported under the one with the latest earliest cycle.
  wire [63:0] deadline = ref_q + 64'(TRefi);

  // Rule `number` binds the command until cycle `from`, if it `applies`.
  task automatic keep(inout logic [7:0] so_far, inout logic [63:0] until_cycle,
                      input logic [7:0] number, input logic applies, input logic [63:0] from);
    if (applies && from > now_q && from > until_cycle) begin
      so_far      = number;
      until_cycle = from;
    end
  endtask

  // Rule `number` is broken at any time if it is `wrong`; any other goes before it.
  task automatic forbid(inout logic [7:0] so_far, inout logic [63:0] until_cycle,
                        input logic [7:0] number, input logic wrong, input logic [63:0] from);
    if (wrong && so_far == 8'd0) begin
      so_far      = number;
      until_cycle = from;
    end
  endtask

  always_comb begin
    rule     = 8'd0;
    earliest = 64'd0;
    if (act) begin
      forbid(rule, earliest, RULE_OPEN, open_q, now_q);
      keep(rule, earliest, RULE_RC, seen_act_q, act_q + 64'(TRc));
      keep(rule, earliest, RULE_FAW, seen_act_q, act_q + 64'(TFaw));
      keep(rule, earliest, RULE_RP, seen_pre_q, pre_q + 64'(TRp));
      keep(rule, earliest, RULE_RFC, seen_ref_q, ref_q + 64'(TRfc));
      forbid(rule, earliest, RULE_RANGE, 32'(cmd_row_i) >= 32'(Rows), now_q);
    end else if (read) begin
      forbid(rule, earliest, RULE_CLOSED, !open_q, now_q);
      keep(rule, earliest, RULE_RCD, open_q, act_q + 64'(TRcd));
      keep(rule, earliest, RULE_CCD, seen_read_q, read_q + 64'(TCcd));
      forbid(rule, earliest, RULE_RANGE, 32'(cmd_col_i) >= 32'(Cols), now_q);
    end else if (pre) begin
      keep(rule, earliest, RULE_RAS, open_q, act_q + 64'(TRas));
      keep(rule, earliest, RULE_RTP, seen_read_q, read_q + 64'(TRtp));
      keep(rule, earliest, RULE_RFC, seen_ref_q, ref_q + 64'(TRfc));
    end else if (refresh) begin
      forbid(rule, earliest, RULE_OPEN, open_q, now_q);
      keep(rule, earliest, RULE_RP, seen_pre_q, pre_q + 64'(TRp));
      keep(rule, earliest, RULE_RFC, seen_ref_q, ref_q + 64'(TRfc));
    end
    // A late refresh is reported once, in the first cycle past the deadline in which no command
    // breaks a rule; the cycle given as the legal one is then the last that would have been.
    forbid(rule, earliest, RULE_REFI, !late_q && now_q > deadline, deadline);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      violations_o <= '0;
      rule_o       <= '0;
      cycle_o      <= '0;
      earliest_o   <= '0;
    end else if (rule != 8'd0) begin
      violations_o <= violations_o + 32'd1;
      if (violations_o == 32'd0) begin
        rule_o     <= rule;
        cycle_o    <= now_q;
        earliest_o <= earliest;
      end
    end
  end

  function automatic string rule_name(input logic [7:0] number);
    case (number)
      RULE_RCD:    rule_name = "RCD";
      RULE_RAS:    rule_name = "RAS";
      RULE_RP:     rule_name = "RP";
      RULE_RC:     rule_name = "RC";
      RULE_CCD:    rule_name = "CCD";
      RULE_RTP:    rule_name = "RTP";
      RULE_RFC:    rule_name = "RFC";
      RULE_REFI:   rule_name = "REFI";
      RULE_OPEN:   rule_name = "OPEN";
      RULE_CLOSED: rule_name = "CLOSED";
      RULE_RANGE:  rule_name = "RANGE";
      default:     rule_name = "FAW";
    endcase
  endfunction

  // The report stands apart from the registers, so that none of them depends on a print. (In
  // reset no command comes and the cycle counter stands at 0, so no rule can be broken.)
  always @(posedge clk_i) begin
    if (rule != 8'd0 && !quiet_i) begin
      $display("bank %0d breaks rule %0d (%0s) in cycle %0d, legal from %0d", bank_i, rule,
               rule_name(rule), now_q, earliest);
    end
  end

endmodule

`default_nettype wire
