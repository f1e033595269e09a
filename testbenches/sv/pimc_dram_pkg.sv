// SPDX-License-Identifier: Apache-2.0
// What the DRAM models share: commands, the numbers of the rules, the numbers of a DRAM.
`default_nettype none

package pimc_dram_pkg;

  // A command goes to one bank or to all. The channel issues the first four, and all-bank
  // writes where it has any.
  localparam logic [2:0] CMD_ACT = 3'd0;
  localparam logic [2:0] CMD_READ = 3'd1;
  localparam logic [2:0] CMD_PRE = 3'd2;
  localparam logic [2:0] CMD_REF = 3'd3;
  localparam logic [2:0] CMD_WRITE = 3'd4;
  localparam logic [2:0] CMD_RFM = 3'd5;

  localparam logic [7:0] RULE_RCD = 8'd1;  // activate to read or write
  localparam logic [7:0] RULE_RAS = 8'd2;  // activate to precharge
  localparam logic [7:0] RULE_RP = 8'd3;  // precharge to activate or refresh
  localparam logic [7:0] RULE_RC = 8'd4;  // activate to activate or refresh
  localparam logic [7:0] RULE_CCD = 8'd5;  // column access to column access
  localparam logic [7:0] RULE_RTP = 8'd6;  // read to precharge
  localparam logic [7:0] RULE_RFC = 8'd7;  // refresh to any command
  localparam logic [7:0] RULE_REFI = 8'd8;  // refresh deadline
  localparam logic [7:0] RULE_OPEN = 8'd9;  // activate or refresh while a row is open
  localparam logic [7:0] RULE_CLOSED = 8'd10;  // read or write while no row is open
  localparam logic [7:0] RULE_RANGE = 8'd11;  // row, column or bank that does not exist
  localparam logic [7:0] RULE_FAW = 8'd12;  // window of four activates
  localparam logic [7:0] RULE_WR = 8'd13;  // end of written data to precharge
  localparam logic [7:0] RULE_ROW = 8'd14;  // read or write meant for another row
  localparam logic [7:0] RULE_END = 8'd15;  // end of a run while a row is open
  localparam logic [7:0] RULE_START = 8'd16;  // a run begins with a refresh of all banks
  localparam logic [7:0] RULE_RRD = 8'd17;  // activate to activate of another bank
  localparam logic [7:0] RULE_WTR = 8'd18;  // end of written data to read
  localparam logic [7:0] RULE_RTW = 8'd19;  // read to write
  localparam logic [7:0] RULE_RREFD = 8'd20;  // refresh of a bank to refresh or activate of another

  // Intervals are in clock cycles. One of 0 asks for nothing.
  typedef struct packed {
    logic [31:0] banks;         // a power of two
    logic [31:0] group_shift;   // log2 of the banks of a group
    logic [31:0] rows;
    logic [31:0] cols;
    logic [31:0] rcd;           // activate to read
    logic [31:0] rcd_wr;        // activate to write
    logic [31:0] ras;           // activate to precharge
    logic [31:0] rp;            // precharge to activate or refresh
    logic [31:0] rc;            // activate to activate or refresh
    logic [31:0] rtp;           // read to precharge
    logic [31:0] cl;            // read to its data
    logic [31:0] cwl;           // write to its data
    logic [31:0] bl;            // data of a column on the bus
    logic [31:0] turn;          // rest of the bus between a read's data and a write's
    logic [31:0] wr;            // end of written data to precharge
    logic [31:0] wtr_s;         // end of written data to read of another group
    logic [31:0] wtr_l;         // end of written data to read of the same group
    logic [31:0] ccd;           // all-bank column access to column access
    logic [31:0] ccd_s;         // column access to column access of another group
    logic [31:0] ccd_l;         // column access to column access of the same group
    logic [31:0] rrd_s;         // activate to activate of another group
    logic [31:0] rrd_l;         // activate to activate of the same group
    logic [31:0] faw;           // window of four activates
    logic [31:0] faw_all_bank;  // whether all-bank activates count in it
    logic [31:0] rfc;           // refresh to any command
    logic [31:0] rfc_pb;        // refresh of one bank to any command of it
    logic [31:0] rfm;           // refresh management to any command
    logic [31:0] rfm_pb;        // refresh management of one bank to any command of it
    logic [31:0] rrefd;         // refresh of one bank to refresh or activate of another
    logic [31:0] refi;          // refresh to refresh, at most
    logic [31:0] postpone;      // refreshes that may be owed besides
    logic [31:0] end_margin;    // from the end of a run to the soonest refresh after it
  } timing_t;

  // Rule `number` binds the command of cycle `now` until cycle `from`, if it `applies`; of several
  // rules the one that binds the longest is kept.
  task automatic keep(inout logic [7:0] so_far, inout logic [63:0] until_cycle,
                      input logic [63:0] now, input logic [7:0] number, input logic applies,
                      input logic [63:0] from);
    if (applies && from > now && from > until_cycle) begin
      so_far      = number;
      until_cycle = from;
    end
  endtask

endpackage

`default_nettype wire
