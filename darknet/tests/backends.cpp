// SPDX-License-Identifier: Apache-2.0
// Backends by name, and the check that names the first layer that differs.
#include "backends/check.hpp"

#include <cmath>

#include "ops/ops.hpp"
#include "wrapped.hpp"

using namespace dn;
using namespace dn::test;

namespace {

const std::string kSections = "[maxpool]\nsize=2\nstride=1\n[upsample]\nstride=1\nscale=2\n[empty]\n";
const Shape kInput{1, 2, 2};

// The ref backend with an error of `error` in the outputs of one layer and all behind it.
class FaultyPlan : public WrappedPlan {
public:
    FaultyPlan(const Graph& graph, int batch, std::unique_ptr<Plan> plan, int layer, float error)
        : WrappedPlan(graph, batch, std::move(plan)), layer_(layer), error_(error) {}
    void read(int node, float* dst) const override {
        WrappedPlan::read(node, dst);
        if (node >= layer_) dst[3] += error_;
    }

private:
    int layer_;
    float error_;
};

class Faulty : public WrappedBackend {
public:
    Faulty(int layer, float error) : layer_(layer), error_(error) {}
    std::string name() const override { return "faulty"; }
    std::unique_ptr<Plan> compile(const Graph& graph, const std::shared_ptr<const Parameters>& parameters,
                                  const PlanOptions& options) const override {
        return std::make_unique<FaultyPlan>(graph, options.batch, WrappedBackend::compile(graph, parameters, options),
                                            layer_, error_);
    }

private:
    int layer_;
    float error_;
};

Floats run_checked(int layer, float error) {
    const Graph graph = graph_of(kSections, kInput);
    const auto check = make_check_backend(make_backend("ref"), std::make_unique<Faulty>(layer, error));
    return run({kSections, kInput, {1, 2, 3, 4}}, graph, initial_parameters(graph, 1), *check);
}

std::string name_error(const std::string& name) {
    return error_of(Status::backend, [&] { make_backend(name); });
}

bool is_missing(int, std::string* why) {
    *why = "its driver is not installed";
    return false;
}
bool has_two_devices(int device, std::string* why) {
    if (device > 1) *why = text("found device ", device, ", expected 0 or 1");
    return device <= 1;
}
std::unique_ptr<Backend> make_faulty(int device) { return std::make_unique<Faulty>(0, static_cast<float>(device)); }

// The error of the backend's device 1 shows which device was made.
const BackendTable kTable = {{"absent", is_missing, make_faulty}, {"pair", has_two_devices, make_faulty}};

}  // namespace

TEST_CASE("check: the errors of layers are relative to their largest values") {
    const Graph graph = graph_of(kSections, kInput);
    const auto errors = [&](std::unique_ptr<Backend> second) {
        const auto backend = make_check_backend(make_backend("ref"), std::move(second));
        return layer_errors(*backend->compile(graph, initial_parameters(graph, 1), {}));
    };
    CHECK(errors(make_backend("ref")) == std::vector<double>(3, 0));
    const std::vector<double> faulty = errors(std::make_unique<Faulty>(1, 1e6f));
    REQUIRE(faulty.size() == 3);
    CHECK(faulty[0] == 0);
    for (int layer : {1, 2}) CHECK(faulty[layer] == doctest::Approx(1).epsilon(1e-4));
    CHECK(std::isinf(errors(std::make_unique<Faulty>(2, std::nanf("")))[2]));
    const auto plan = make_backend("ref")->compile(graph, initial_parameters(graph, 1), {});
    CHECK_CONTAINS(error_of(Status::backend, [&] { layer_errors(*plan); }), "expected a backend check:A,B");
}

TEST_CASE("backends: auto skips what is not available, and errors give the reason") {
    CHECK(make_backend("auto", kTable)->name() == "faulty");
    CHECK(backend_names(kTable) == std::vector<std::string>{"pair"});
    const auto error = [](const std::string& name, const BackendTable& table = kTable) {
        return error_of(Status::backend, [&] { make_backend(name, table); });
    };
    CHECK(error("absent") == "backend \"absent\" is not available: its driver is not installed; available: pair");
    CHECK_CONTAINS(error("check:pair,absent"), "backend \"absent\" is not available: its driver");
    CHECK(error("gpu") ==
          "found backend \"gpu\", expected auto, absent, pair or check:A,B of those; \"absent\" is not available: its "
          "driver is not installed");
    CHECK_CONTAINS(error("auto", {kTable[0]}), "found no backend that is available; \"absent\" is not available: its ");
}

TEST_CASE("backends: the number of a device follows the name") {
    const Graph graph = graph_of(kSections, kInput);
    const auto last = [&](const std::string& name) {
        return run({kSections, kInput, {1, 2, 3, 4}}, graph, initial_parameters(graph, 1),
                   *make_backend(name, kTable))[3];
    };
    CHECK(last("pair") == 8);
    CHECK(last("pair:0") == 8);
    CHECK(last("pair:1") == 9);
    const auto error = [](const std::string& name, const BackendTable& table = kTable) {
        return error_of(Status::backend, [&] { make_backend(name, table); });
    };
    CHECK(error("pair:2") == "backend \"pair:2\" is not available: found device 2, expected 0 or 1; available: pair");
    CHECK_CONTAINS(error("ref:1", backend_table()), "found device 1, expected 0, its only one");
    for (const char* name : {"pair:", "pair:x", "pair:-1", "pair:99999999999"})
        CHECK_CONTAINS(error(name), "expected the number of a device after the colon, such as \"pair:0\"");
    CHECK_CONTAINS(error("auto:0"), "found backend \"auto:0\", expected auto, ");
}

TEST_CASE("backends: auto is the first of the list, ref is always in it") {
    const std::vector<std::string> names = backend_names();
    REQUIRE(!names.empty());
    CHECK(names.back() == "ref");
    CHECK(make_backend("auto")->name() == names.front());
}

TEST_CASE("backends: an unknown name is an error that lists those there are") {
    CHECK_CONTAINS(name_error("gpu"), "found backend \"gpu\", expected auto, ");
    CHECK_CONTAINS(name_error("gpu"), "ref or check:A,B");
    CHECK_CONTAINS(name_error("check:ref"), "expected two names");
    CHECK_CONTAINS(name_error("check:ref,check:ref,ref"), "expected exactly two plain names");
    CHECK_CONTAINS(name_error("check:ref,gpu"), "found backend \"gpu\"");
}

TEST_CASE("backends: a precision that a backend lacks is an error that lists those it has") {
    const Graph graph = graph_of(kSections, kInput);
    PlanOptions options;
    options.precision = Precision::bf16;
    const std::string message =
        error_of(Status::backend, [&] { make_backend("ref")->compile(graph, initial_parameters(graph, 1), options); });
    CHECK(message == "backend \"ref\": found precision bf16, expected fp32 or auto");
    for (const std::string& name : backend_names()) {
        const auto backend = make_backend(name);
        CHECK(backend->resolve(Precision::automatic).precision == backend->automatic().precision);
        for (const PrecisionChoice& choice : backend->precisions()) {
            CAPTURE(name);
            CAPTURE(precision_name(choice.precision));
            options.precision = choice.precision;
            const auto plan = backend->compile(graph, initial_parameters(graph, 1), options);
            CHECK(plan->precision() == choice.precision);
        }
        CHECK_CONTAINS(error_of(Status::backend, [&] { backend->resolve(Precision::tf32); }),
                       "found precision tf32, expected fp32");
    }
}

TEST_CASE("backends: a check of equal backends answers as the first one") {
    CHECK(make_backend("check:ref,ref")->name() == "check:ref,ref");
    CHECK(run_checked(0, 0) == Floats{8, 8, 8, 8});
}

TEST_CASE("backends: a check names the first layer that differs, not the one that was read") {
    const std::string message = error_of(Status::backend, [] { run_checked(1, 0.5f); });
    CHECK_CONTAINS(message,
                   "net.cfg:8 [upsample]: backends ref and faulty differ first at layer 1 (upsample), in its output");
    CHECK_CONTAINS(message, "found 8 and 8.5 at index 3, a difference of 0.5");
}

TEST_CASE("backends: a check counts NaN as a difference and rounding as none") {
    CHECK_CONTAINS(error_of(Status::backend, [] { run_checked(2, NAN); }), "differ first at layer 2 (empty)");
    CHECK(error_of(Status::backend, [] { run_checked(0, 1e-4f); }).empty());
}
