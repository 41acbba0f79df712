// SPDX-License-Identifier: Apache-2.0
// An executable of its own, since it replaces operator new for everything that is linked with it.
#pragma once

namespace dn::test {

// Number of allocations, on all threads, since the last call of fail_allocation.
long allocations();
// From now on the allocation of this number fails, counted from 1; 0: none.
void fail_allocation(long number);

}  // namespace dn::test
