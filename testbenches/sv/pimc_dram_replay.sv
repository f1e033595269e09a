// SPDX-License-Identifier: Apache-2.0
// The rules of a DRAM channel without its content: a list of commands is played to them, and the
// outputs say, one clock later, what the command or the end of that clock broke.
`default_nettype none

module pimc_dram_replay
  import pimc_dram_pkg::*;
#(
    parameter int MaxBanks = 16
) (
    input  wire                    clk_i,
    input  wire                    rst_ni,
    input  wire timing_t           timing_i,

    input  wire                    whole_i,
    input  wire                    cmd_valid_i,
    input  wire  [2:0]             cmd_i,
    input  wire                    all_i,
    input  wire  [7:0]             bank_i,
    input  wire  [31:0]            row_i,
    input  wire  [31:0]            col_i,
    input  wire                    end_i,

    output logic                   hit_o,       // something was broken
    output logic [63:0]            cycle_o,     // in this cycle
    output logic [7:0]             bus_rule_o,
    output logic [63:0]            bus_earliest_o,
    output logic [8*MaxBanks-1:0]  rule_o,      // by bank
    output logic [64*MaxBanks-1:0] earliest_o,
    output logic [MaxBanks-1:0]    late_o,
    output logic [64*MaxBanks-1:0] deadline_o
);

  logic [63:0] now_q;

  wire [7:0]             bus_rule;
  wire [63:0]            bus_earliest;
  wire [8*MaxBanks-1:0]  rule;
  wire [64*MaxBanks-1:0] earliest;
  wire [MaxBanks-1:0]    late;
  wire [64*MaxBanks-1:0] deadline;
  wire [MaxBanks-1:0]    open;
  wire [32*MaxBanks-1:0] row;
  wire                   unused = &{1'b0, open, row};

  pimc_dram_bus u_bus (
      .clk_i      (clk_i),
      .rst_ni     (rst_ni),
      .now_i      (now_q),
      .timing_i   (timing_i),
      .whole_i    (whole_i),
      .cmd_valid_i(cmd_valid_i),
      .cmd_i      (cmd_i),
      .all_i      (all_i),
      .bank_i     (bank_i),
      .end_i      (end_i),
      .rule_o     (bus_rule),
      .earliest_o (bus_earliest)
  );

  generate
    for (genvar b = 0; b < MaxBanks; b++) begin : gen_bank
      wire exists = timing_i.banks > b;
      wire late_here;
      pimc_dram_rules u_rules (
          .clk_i      (clk_i),
          .rst_ni     (rst_ni),
          .now_i      (now_q),
          .timing_i   (timing_i),
          .cmd_valid_i(cmd_valid_i && exists && (all_i || bank_i == 8'(b))),
          .cmd_i      (cmd_i),
          .one_i      (!all_i),
          .cmd_row_i  (row_i),
          .cmd_col_i  (col_i),
          .check_row_i(1'b1),
          .end_i      (end_i && exists),
          .open_o     (open[b]),
          .row_o      (row[32*b+:32]),
          .rule_o     (rule[8*b+:8]),
          .earliest_o (earliest[64*b+:64]),
          .late_o     (late_here),
          .deadline_o (deadline[64*b+:64])
      );
      assign late[b] = late_here && exists;
    end
  endgenerate

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      now_q          <= '0;
      hit_o          <= 1'b0;
      cycle_o        <= '0;
      bus_rule_o     <= '0;
      bus_earliest_o <= '0;
      rule_o         <= '0;
      earliest_o     <= '0;
      late_o         <= '0;
      deadline_o     <= '0;
    end else begin
      now_q <= now_q + 64'd1;
      hit_o <= bus_rule != 8'd0 || rule != '0 || late != '0;
      if (bus_rule != 8'd0 || rule != '0 || late != '0) begin
        cycle_o        <= now_q;
        bus_rule_o     <= bus_rule;
        bus_earliest_o <= bus_earliest;
        rule_o         <= rule;
        earliest_o     <= earliest;
        late_o         <= late;
        deadline_o     <= deadline;
      end
    end
  end

endmodule

`default_nettype wire
