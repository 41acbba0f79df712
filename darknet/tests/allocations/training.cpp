// SPDX-License-Identifier: Apache-2.0
// Allocations of a short training and a detection fail, one in each run: the call reports it, and called again it
// succeeds with the bits of an undisturbed run, or the training is refused from there on.
#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "../support.hpp"
#include "allocations.hpp"
#include "backends/registry.hpp"
#include "darknet.h"

namespace {

const std::string kCfg =
    "[net]\nwidth=16\nheight=16\nchannels=3\nbatch=2\nsubdivisions=1\nlearning_rate=0.01\nmax_batches=2\n"
    "burn_in=3\nema_alpha=0.9\n"  // so that rates differ, and a moving average begins
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=mish\n"
    "[maxpool]\nsize=2\nstride=1\n[route]\nlayers=-1,-2\n[shortcut]\nfrom=-1\nactivation=linear\n"
    "[convolutional]\nfilters=14\nsize=1\nstride=1\nactivation=linear\n"
    "[yolo]\nmask=0,1\nanchors=3,3, 8,8\nclasses=2\nnum=2\n";
const std::vector<float> kImages(2 * 3 * 16 * 16, 0.4f);
const std::vector<float> kTruths = {0.5f, 0.5f, 0.4f, 0.4f, 1, 0, 0, 0, 0, 0, 0, 0,
                                    0.2f, 0.7f, 0.2f, 0.2f, 0, 0, 0, 0, 0, 0, 0, 0};
const std::vector<unsigned char> kPixels(20 * 30 * 3, 100);

// Calls of the interface; one that fails is repeated once.
class Session {
public:
    explicit Session(const std::string& folder) : weights_(folder + "/saved.weights") {}
    ~Session() {
        dn_detections_free(detections_);
        dn_trainer_free(trainer_);
        dn_network_free(clone_);
        dn_network_free(network_);
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // The weights file after two iterations in which the allocation of a number fails; 0: none.
    std::string run(const std::string& backend, long failing) {
        const dn_options options = {backend.c_str(), "fp32", 2, 2, 1};
        dn::test::fail_allocation(failing);
        call([&] { return dn_network_parse(kCfg.data(), kCfg.size(), "net.cfg", nullptr, &options, &network_); });
        call([&] { return dn_trainer_create(network_, &trainer_); });
        for (int i = 0; i < 2; ++i) {
            float cost = 0;
            call([&] { return dn_trainer_accumulate(trainer_, kImages.data(), 2, kTruths.data(), 12, &cost); });
            call([&] { return dn_trainer_update(trainer_); });
        }
        call([&] { return dn_trainer_resize(trainer_, 32, 32); });
        call([&] { return dn_network_clone(network_, &clone_); });
        call([&] { return dn_network_predict(clone_, kImages.data(), 2, nullptr, 0); });
        const dn_image image = {kPixels.data(), 30, 20, 3, 90, 1, 1};
        const dn_detect_options found = {0.001f, 0.45f, 0};
        call([&] { return dn_network_detect(clone_, &image, 1, &found, &detections_); });
        call([&] { return dn_network_save_weights(network_, weights_.c_str(), -1); });
        allocations = dn::test::allocations();
        dn::test::fail_allocation(0);
        std::ifstream file(weights_, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    }

    int failures = 0;  // calls that reported that memory was out
    bool refused = false;
    long allocations = 0;

private:
    template <class Function>
    void call(const Function& function) {
        if (refused) return;
        const dn_status first = function();
        if (first == DN_OK) return;
        ++failures;
        CHECK_MESSAGE(first == DN_OUT_OF_MEMORY, std::string(dn_last_error()));
        if (function() == DN_OK) return;
        // A mini-batch that failed half-way has added to some gradients: the trainer refuses to continue.
        CHECK_CONTAINS(std::string(dn_last_error()), "gradients are incomplete");
        refused = true;
    }

    std::string weights_;
    dn_network* network_ = nullptr;
    dn_network* clone_ = nullptr;
    dn_trainer* trainer_ = nullptr;
    dn_detections* detections_ = nullptr;
};

// Few enough to be quick.
constexpr long kSessions = 150;

void try_all(const std::string& backend) {
    const dn::test::TemporaryFolder folder;
    const auto weights = [&](Session& session, long failing) {
        std::filesystem::remove(folder.file("saved.weights"));
        return session.run(backend, failing);
    };
    Session first(folder.path().string()), second(folder.path().string());
    const std::string expected = weights(first, 0);
    REQUIRE(!expected.empty());
    REQUIRE(weights(second, 0) == expected);  // now all is there that is made once per process
    const long total = second.allocations, step = total / kSessions | 1;
    long tried = 0, reported = 0, refused = 0, failed = 0;
    for (long number = 1; number <= total; number += step) {
        Session session(folder.path().string());
        const std::string found = weights(session, number);
        const bool right = session.refused || found == expected;
        CHECK_MESSAGE(right, "other weights after allocation ", number, " failed");
        failed += !right;
        ++tried;
        reported += session.failures;
        refused += session.refused;
    }
    std::cout << "failing allocations, " << backend << ": " << tried << " of " << total << " tried, " << failed
              << " failed (" << reported << " reported, " << refused << " ended the training)\n";
    CHECK(reported > tried / 2);  // the others are those that the engine does without
    CHECK(refused < tried / 2);
}

}  // namespace

TEST_CASE("allocations: each may fail") {
    for (const std::string& backend : dn::backend_names()) try_all(backend);
}
