// SPDX-License-Identifier: Apache-2.0
// Training on images that the GPU of the fake driver composes of tiles.
#include "fake_gpu.hpp"
#include "kernels.hpp"
#include "trainer.hpp"

using namespace dn;
using namespace dn::test;

namespace {

constexpr int kImages = 2, kWidth = 16, kHeight = 8;

const std::string kCfg =
    "[net]\nbatch=2\nwidth=16\nheight=8\nchannels=3\n"
    "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
    "[convolutional]\nfilters=7\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0\nnum=1\nanchors=4,4\nclasses=2\n";

const Floats kTruths = {0.3f, 0.35f, 0.4f, 0.5f, 1, 0, 0.7f, 0.6f, 0.5f, 0.4f, 0, 0};

Network network() {
    NetworkOptions options;
    options.backend = "ref";
    options.threads = 1;
    return Network(parse_cfg(kCfg, "net.cfg"), "", options);
}

// Two images with rows of 50 bytes, of which 48 are pixels.
struct Images {
    Images() {
        for (std::size_t k = 0; k < bytes.size(); ++k) bytes[k] = static_cast<unsigned char>(256 * uniform(7, k));
        for (int i = 0; i < kImages; ++i) {
            Tile tile{};
            tile.pixels = bytes.data() + i * kHeight * kStride;
            tile.stride = kStride;
            tile.image = i;
            tile.width = tile.crop_width = tile.part_width = kWidth;
            tile.height = tile.crop_height = tile.part_height = kHeight;
            tiles.push_back(tile);
        }
    }
    Floats planes() const {
        Floats values;
        for (const Tile& tile : tiles)
            for (int c = 2; c >= 0; --c)
                for (int y = 0; y < kHeight; ++y)
                    for (int x = 0; x < kWidth; ++x)
                        values.push_back(static_cast<float>(tile.pixels[y * kStride + x * 3 + c]) / 255.0f);
        return values;
    }

    static constexpr std::size_t kStride = kWidth * 3 + 2;
    std::vector<unsigned char> bytes = std::vector<unsigned char>(kImages * kHeight * kStride);
    std::vector<Tile> tiles;
};

Floats gradients_of(const Trainer& trainer) {
    Floats all(trainer.count(StateKind::gradients, 0, Role::weights));
    trainer.get(StateKind::gradients, 0, Role::weights, all.data(), all.size());
    return all;
}

std::string message_of(Trainer& trainer, const std::vector<Tile>& tiles, Status status) {
    try {
        trainer.accumulate(tiles.data(), static_cast<int>(tiles.size()), kImages, kTruths.data(), 6);
    } catch (const Error& error) {
        CHECK(error.status() == status);
        return error.what();
    }
    return "";
}

bool says(const std::string& message, const char* part) { return message.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("cuda tiles: composed images train as the planes that they show") {
    const FakeGpu gpu;
    const std::shared_ptr<const Backend> backend = FakeGpu::backend();
    const Images images;
    const Floats planes = images.planes();
    std::vector<Floats> gradients;
    for (const bool composed : {false, true}) {
        Trainer trainer(network(), backend, Precision::f16);
        for (int round = 0; round < 2; ++round) {  // and planes after tiles, in one plan
            if (composed && round == 0)
                trainer.accumulate(images.tiles.data(), kImages, kImages, kTruths.data(), 6);
            else
                trainer.accumulate(planes.data(), kImages, kTruths.data(), 6);
        }
        gradients.push_back(gradients_of(trainer));
    }
    CHECK(same_bits(gradients[0], gradients[1]));
    CHECK(std::any_of(gradients[0].begin(), gradients[0].end(), [](float value) { return value != 0; }));
}

TEST_CASE("cuda tiles: tiles that no input has are refused, and backends that do not compose refuse all") {
    const FakeGpu gpu;
    Trainer trainer(network(), FakeGpu::backend());
    const auto refused = [&](void (*spoil)(Tile&)) {
        std::vector<Tile> tiles = Images().tiles;
        spoil(tiles[1]);
        return message_of(trainer, tiles, Status::invalid_argument);
    };
    CHECK(says(refused([](Tile& t) { t.image = 2; }), "number 1 is of an image outside of the mini-batch"));
    CHECK(says(refused([](Tile& t) { t.x = 1; }), "fills a rectangle outside of the input"));
    CHECK(says(refused([](Tile& t) { t.height = -1; }), "fills a rectangle outside of the input"));
    CHECK(says(refused([](Tile& t) { t.from_y = 1; }), "shows a rectangle outside of its crop"));
    CHECK(says(refused([](Tile& t) { t.crop_width = 0; }), "has a crop without pixels"));
    CHECK(says(refused([](Tile& t) { t.part_x = 1; }), "has pixels outside of its crop"));
    CHECK(says(refused([](Tile& t) { t.stride = kWidth * 3 - 1; }), "too short rows"));
    CHECK(says(refused([](Tile& t) { t.pixels = nullptr; }), "has no pixels"));
    CHECK(says(refused([](Tile& t) {
                   t.crop_width = t.part_width = 2 * kWidth;
                   t.crop_height = t.part_height = 3 * kHeight;
                   t.stride = 6 * kWidth;
               }),
               "image 1 has more than 1536 bytes of pixels"));
    std::vector<Tile> many = Images().tiles;
    many.insert(many.end(), 4, many[0]);
    CHECK(says(message_of(trainer, many, Status::invalid_argument), "image 0 has more than 4, the most"));

    Trainer host(network());
    CHECK(says(message_of(host, Images().tiles, Status::backend), "this backend does not compose images"));
}
