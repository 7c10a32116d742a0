// SPDX-License-Identifier: Apache-2.0
// How many state tables each kind of node uses: the contract between the planner, which numbers them, and operators.
#include "processor/operators/graph.h"

uint16_t br_node_state_tables(const struct br_node *node) {
    switch (node->kind) {
    case BR_NODE_SOURCE:
        return node->source.table->primary_key_count != 0 ? 1 : 0;
    case BR_NODE_AGGREGATE:
        return (uint16_t)(2 + node->aggregate.aggregate_count); // groups, closed rows, a multiset per aggregate
    case BR_NODE_JOIN:
        return 2; // left rows, right rows
    case BR_NODE_FILTER:
    case BR_NODE_PROJECT:
    case BR_NODE_WINDOW:
    case BR_NODE_SCAN:
        return 0;
    }
    return 0;
}
