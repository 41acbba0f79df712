// SPDX-License-Identifier: Apache-2.0
// Which kernel trains a layer.
#include "train.hpp"

namespace dn::cuda {

std::unique_ptr<Kernel> make_train_kernel(const TrainContext& context) { return make_train_by_reference(context); }

}  // namespace dn::cuda
