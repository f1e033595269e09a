// SPDX-License-Identifier: Apache-2.0
// The rules between the banks of a DRAM channel: which one the command of this cycle breaks.
//
// A column access or an activate of all banks beside one of a single bank counts as one of the
// same bank group. A refresh of one bank counts as its activate, but not in the window of four.
`default_nettype none

module pimc_dram_bus
  import pimc_dram_pkg::*;
(
    input  wire         clk_i,
    input  wire         rst_ni,
    input  wire  [63:0] now_i,        // clock cycles since reset
    input  wire timing_t timing_i,

    input  wire         whole_i,      // the commands are a run from its beginning
    input  wire         cmd_valid_i,
    input  wire  [2:0]  cmd_i,
    input  wire         all_i,        // to all banks
    input  wire  [7:0]  bank_i,       // to this one, if not to all
    input  wire         end_i,        // the run ends

    output logic [7:0]  rule_o,       // broken in this cycle; 0 if none
    output logic [63:0] earliest_o    // first cycle in which it would not have been
);

  localparam int GROUPS = 16;

  wire [31:0] bank = 32'(bank_i);
  wire [31:0] group_wide = bank >> timing_i.group_shift;
  wire [3:0]  group = group_wide[3:0];
  wire        unused = &{1'b0, group_wide, timing_i};

  wire exists = all_i || bank < timing_i.banks;
  wire cmd = cmd_valid_i && exists;
  wire act = cmd && cmd_i == CMD_ACT;
  wire read = cmd && cmd_i == CMD_READ;
  wire write = cmd && cmd_i == CMD_WRITE;
  wire refresh_all = cmd && cmd_i == CMD_REF && all_i;
  wire refresh_one = cmd && (cmd_i == CMD_REF || cmd_i == CMD_RFM) && !all_i;

  // ---- the last cycle of each command; of one bank by its group ----
  logic        begun_q, refreshed_q;
  logic        col_all_seen_q, write_all_seen_q, act_all_seen_q, read_seen_q, ref_one_seen_q;
  logic [63:0] col_all_q, write_all_q, act_all_q, read_q, ref_one_q;
  logic        col_seen_q [0:GROUPS-1];
  logic        write_seen_q [0:GROUPS-1];
  logic        act_seen_q [0:GROUPS-1];
  logic [63:0] col_q [0:GROUPS-1];
  logic [63:0] write_q [0:GROUPS-1];
  logic [63:0] act_q [0:GROUPS-1];
  // The last four activates that count in the window, the oldest at 3.
  logic [2:0]  window_count_q;
  logic [63:0] window_q [0:3];

  wire        counts = act && (!all_i || timing_i.faw_all_bank != 32'd0);
  // All banks are activated four to a window, so the last four begin theirs here.
  wire [63:0] faw = 64'(timing_i.faw);
  wire [63:0] windows = 64'(timing_i.banks) >> 2;
  wire [63:0] last_window = now_i + (windows - 64'd1) * faw;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      begun_q          <= 1'b0;
      refreshed_q      <= 1'b0;
      col_all_seen_q   <= 1'b0;
      write_all_seen_q <= 1'b0;
      act_all_seen_q   <= 1'b0;
      read_seen_q      <= 1'b0;
      ref_one_seen_q   <= 1'b0;
      col_all_q        <= '0;
      write_all_q      <= '0;
      act_all_q        <= '0;
      read_q           <= '0;
      ref_one_q        <= '0;
      window_count_q   <= '0;
      for (int g = 0; g < GROUPS; g++) begin
        col_seen_q[g]   <= 1'b0;
        write_seen_q[g] <= 1'b0;
        act_seen_q[g]   <= 1'b0;
        col_q[g]        <= '0;
        write_q[g]      <= '0;
        act_q[g]        <= '0;
      end
      for (int i = 0; i < 4; i++) window_q[i] <= '0;
    end else begin
      if (cmd_valid_i) begun_q <= 1'b1;
      if (refresh_all) refreshed_q <= 1'b1;
      if (read || write) begin
        if (all_i) begin
          col_all_seen_q <= 1'b1;
          col_all_q      <= now_i;
        end else begin
          col_seen_q[group] <= 1'b1;
          col_q[group]      <= now_i;
        end
      end
      if (read) begin
        read_seen_q <= 1'b1;
        read_q      <= now_i;
      end
      if (write) begin
        if (all_i) begin
          write_all_seen_q <= 1'b1;
          write_all_q      <= now_i;
        end else begin
          write_seen_q[group] <= 1'b1;
          write_q[group]      <= now_i;
        end
      end
      if (act && all_i) begin
        act_all_seen_q <= 1'b1;
        act_all_q      <= now_i;
      end
      if ((act && !all_i) || refresh_one) begin
        act_seen_q[group] <= 1'b1;
        act_q[group]      <= now_i;
      end
      if (refresh_one) begin
        ref_one_seen_q <= 1'b1;
        ref_one_q      <= now_i;
      end
      if (counts && all_i && timing_i.banks >= 32'd4) begin
        window_count_q <= 3'd4;
        for (int i = 0; i < 4; i++) window_q[i] <= last_window;
      end else if (counts) begin
        // One bank, or the two of a channel of two.
        window_q[0] <= now_i;
        window_q[1] <= all_i ? now_i : window_q[0];
        window_q[2] <= all_i ? window_q[0] : window_q[1];
        window_q[3] <= all_i ? window_q[1] : window_q[2];
        if (all_i) window_count_q <= window_count_q >= 3'd2 ? 3'd4 : window_count_q + 3'd2;
        else window_count_q <= window_count_q >= 3'd3 ? 3'd4 : window_count_q + 3'd1;
      end
    end
  end

  // ---- rules; see pimc_dram_rules ----
  wire        full = window_count_q == 3'd4;
  wire [63:0] oldest = window_q[3];
  wire [63:0] data_end = 64'(timing_i.cwl) + 64'(timing_i.bl);
  wire [63:0] read_end = 64'(timing_i.cl) + 64'(timing_i.bl) + 64'(timing_i.turn);
  wire [63:0] rtw = read_end > 64'(timing_i.cwl) ? read_end - 64'(timing_i.cwl) : 64'd0;
  wire [63:0] ccd = 64'(timing_i.ccd);
  wire [63:0] rrefd = 64'(timing_i.rrefd);
  // To a bank of the same group or, as if it were, to all; and to one of another group.
  wire [63:0] ccd_l = all_i ? 64'(timing_i.ccd) : 64'(timing_i.ccd_l);
  wire [63:0] ccd_s = all_i ? 64'(timing_i.ccd) : 64'(timing_i.ccd_s);
  wire [63:0] wtr_l = data_end + 64'(timing_i.wtr_l);
  wire [63:0] wtr_s = data_end + (all_i ? 64'(timing_i.wtr_l) : 64'(timing_i.wtr_s));
  wire [63:0] rrd_l = 64'(timing_i.rrd_l);
  wire [63:0] rrd_s = all_i ? 64'(timing_i.rrd_l) : 64'(timing_i.rrd_s);

  always_comb begin
    rule_o     = 8'd0;
    earliest_o = 64'd0;
    if (read || write) begin
      keep(rule_o, earliest_o, now_i, RULE_CCD, col_all_seen_q, col_all_q + ccd);
      keep(rule_o, earliest_o, now_i, RULE_RTW, write && read_seen_q, read_q + rtw);
      keep(rule_o, earliest_o, now_i, RULE_WTR, read && write_all_seen_q, write_all_q + wtr_l);
      for (int g = 0; g < GROUPS; g++) begin
        keep(rule_o, earliest_o, now_i, RULE_CCD, col_seen_q[g],
             col_q[g] + (32'(group) == g ? ccd_l : ccd_s));
        keep(rule_o, earliest_o, now_i, RULE_WTR, read && write_seen_q[g],
             write_q[g] + (32'(group) == g ? wtr_l : wtr_s));
      end
    end
    if (act || refresh_one) begin
      keep(rule_o, earliest_o, now_i, RULE_RREFD, ref_one_seen_q, ref_one_q + rrefd);
      keep(rule_o, earliest_o, now_i, RULE_RRD, act_all_seen_q && !all_i, act_all_q + rrd_l);
      for (int g = 0; g < GROUPS; g++) begin
        keep(rule_o, earliest_o, now_i, RULE_RRD, act_seen_q[g],
             act_q[g] + (32'(group) == g ? rrd_l : rrd_s));
      end
      keep(rule_o, earliest_o, now_i, RULE_FAW, counts && full, oldest + faw);
    end
    // What no waiting would make legal.
    if (rule_o == 8'd0) begin
      if (cmd_valid_i && !exists) begin
        rule_o     = RULE_RANGE;
        earliest_o = now_i;
      end else if (whole_i && cmd_valid_i && !begun_q && !refresh_all) begin
        rule_o     = RULE_START;
        earliest_o = now_i;
      end else if (whole_i && end_i && !refreshed_q) begin
        rule_o     = RULE_START;
        earliest_o = now_i;
      end
    end
  end

endmodule

`default_nettype wire
