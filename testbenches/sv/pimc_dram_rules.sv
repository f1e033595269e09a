// SPDX-License-Identifier: Apache-2.0
// The rules of one DRAM bank: which one the command of this cycle breaks.
//
// A rule's earliest legal cycle is the earlier command's cycle plus the rule's interval; a command
// broken by several rules is told under the one with the latest earliest cycle. A refresh that is
// late is told apart from the commands, once, in the first cycle past its deadline.
`default_nettype none

module pimc_dram_rules
  import pimc_dram_pkg::*;
(
    input  wire         clk_i,
    input  wire         rst_ni,
    input  wire  [63:0] now_i,        // clock cycles since reset
    input  wire timing_t timing_i,

    // commands to this bank
    input  wire         cmd_valid_i,
    input  wire  [2:0]  cmd_i,
    input  wire         one_i,        // to this bank alone
    input  wire  [31:0] cmd_row_i,
    input  wire  [31:0] cmd_col_i,
    input  wire         check_row_i,  // reads and writes say the row that they are meant for
    input  wire         end_i,        // the run ends

    output logic        open_o,
    output logic [31:0] row_o,
    output logic [7:0]  rule_o,       // broken in this cycle; 0 if none
    output logic [63:0] earliest_o,   // first cycle in which it would not have been
    output wire         late_o,       // a refresh is late from this cycle on
    output wire  [63:0] deadline_o    // the last cycle in which it would not have been
);

  wire unused = &{1'b0, timing_i};

  wire act = cmd_valid_i && cmd_i == CMD_ACT;
  wire read = cmd_valid_i && cmd_i == CMD_READ;
  wire write = cmd_valid_i && cmd_i == CMD_WRITE;
  wire pre = cmd_valid_i && cmd_i == CMD_PRE;
  wire refresh = cmd_valid_i && cmd_i == CMD_REF;
  wire manage = cmd_valid_i && cmd_i == CMD_RFM;

  // ---- row state and the last cycle of each command ----
  logic        seen_act_q, seen_read_q, seen_write_q, seen_pre_q, late_q;
  logic [63:0] act_q, read_q, write_q, pre_q;
  logic [63:0] free_q;  // first cycle after the refreshes so far
  logic [63:0] paid_q;  // cycle up to which refreshes are paid

  wire [63:0] owed = (64'(timing_i.postpone) + 64'd1) * 64'(timing_i.refi);
  wire [63:0] next_paid = paid_q + 64'(timing_i.refi);
  wire        past = now_i > deadline_o;
  assign deadline_o = paid_q + owed;
  assign late_o     = past && !late_q;

  // Clock cycles for which this refresh holds the bank.
  wire [31:0] held_refresh = one_i ? timing_i.rfc_pb : timing_i.rfc;
  wire [31:0] held_manage = one_i ? timing_i.rfm_pb : timing_i.rfm;
  wire [63:0] free = now_i + (refresh ? 64'(held_refresh) : 64'(held_manage));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      open_o       <= 1'b0;
      row_o        <= '0;
      seen_act_q   <= 1'b0;
      seen_read_q  <= 1'b0;
      seen_write_q <= 1'b0;
      seen_pre_q   <= 1'b0;
      late_q       <= 1'b0;
      act_q        <= '0;
      read_q       <= '0;
      write_q      <= '0;
      pre_q        <= '0;
      free_q       <= '0;
      paid_q       <= '0;
    end else begin
      if (act) begin
        open_o     <= 1'b1;
        row_o      <= cmd_row_i;
        seen_act_q <= 1'b1;
        act_q      <= now_i;
      end
      if (read) begin
        seen_read_q <= 1'b1;
        read_q      <= now_i;
      end
      if (write) begin
        seen_write_q <= 1'b1;
        write_q      <= now_i;
      end
      if (pre) begin
        open_o     <= 1'b0;
        seen_pre_q <= 1'b1;
        pre_q      <= now_i;
      end
      if ((refresh || manage) && free > free_q) free_q <= free;
      if (refresh) begin
        // Nothing is paid ahead, and one that came too late leaves no debt.
        paid_q <= past || now_i < next_paid ? now_i : next_paid;
        late_q <= 1'b0;
      end else if (late_o) begin
        late_q <= 1'b1;
      end
    end
  end

  // ---- rules ----
  // Rule `number` is broken at any time if it is `wrong`; any other goes before it.
  task automatic forbid(inout logic [7:0] so_far, inout logic [63:0] until_cycle,
                        input logic [7:0] number, input logic wrong, input logic [63:0] from);
    if (wrong && so_far == 8'd0) begin
      so_far      = number;
      until_cycle = from;
    end
  endtask

  wire [63:0] rcd = write ? 64'(timing_i.rcd_wr) : 64'(timing_i.rcd);
  wire [63:0] rc = 64'(timing_i.rc);
  wire [63:0] rp = 64'(timing_i.rp);
  wire [63:0] ras = 64'(timing_i.ras);
  wire [63:0] rtp = 64'(timing_i.rtp);
  wire [63:0] margin = 64'(timing_i.end_margin);
  wire [63:0] written = write_q + 64'(timing_i.cwl) + 64'(timing_i.bl) + 64'(timing_i.wr);
  wire        other_row = check_row_i && open_o && cmd_row_i != row_o;
  wire        no_row = cmd_row_i >= timing_i.rows;
  wire        no_col = cmd_col_i >= timing_i.cols;
  wire        at_rest = act || refresh || manage || end_i;

  always_comb begin
    rule_o     = 8'd0;
    earliest_o = 64'd0;
    if (cmd_valid_i || end_i) begin
      keep(rule_o, earliest_o, now_i, RULE_RFC, 1'b1, free_q);
      if (at_rest) begin
        keep(rule_o, earliest_o, now_i, RULE_RC, seen_act_q, act_q + rc);
        keep(rule_o, earliest_o, now_i, RULE_RP, seen_pre_q, pre_q + rp);
        forbid(rule_o, earliest_o, end_i ? RULE_END : RULE_OPEN, open_o, now_i);
      end
      if (act) begin
        forbid(rule_o, earliest_o, RULE_RANGE, no_row, now_i);
      end
      if (read || write) begin
        keep(rule_o, earliest_o, now_i, RULE_RCD, open_o, act_q + rcd);
        forbid(rule_o, earliest_o, RULE_CLOSED, !open_o, now_i);
        forbid(rule_o, earliest_o, RULE_ROW, other_row, now_i);
        forbid(rule_o, earliest_o, RULE_RANGE, no_col, now_i);
      end
      if (pre) begin
        keep(rule_o, earliest_o, now_i, RULE_RAS, open_o, act_q + ras);
        keep(rule_o, earliest_o, now_i, RULE_RTP, open_o && seen_read_q, read_q + rtp);
        keep(rule_o, earliest_o, now_i, RULE_WR, open_o && seen_write_q, written);
      end
      if (end_i) begin
        forbid(rule_o, earliest_o, RULE_REFI, now_i + margin > deadline_o,
               deadline_o - margin);
      end
    end
  end

endmodule

`default_nettype wire
