/* SPDX-License-Identifier: Apache-2.0
 * A program as people wrote them for AlexeyAB's libdarknet.so: load, predict, decode, suppress, free.
 * usage: client CFG WEIGHTS PLANES W H C THRESH NMS_KIND; prints "class prob x y w h" lines, relative. */
#include <darknet_compat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int errors(char *cfg, char *weights) {
    detection *none;
    int n = 7;
    if (load_network_custom("no.cfg", weights, 0, 1) || !strstr(dn_last_error(), "no.cfg")) return 1;
    if (load_network_custom(NULL, NULL, 0, 1)) return 2;
    network *net = load_network_custom(cfg, weights, 1, 1);
    if (!net) return 3;
    none = get_network_boxes(net, 1, 1, .5f, .5f, NULL, 1, &n, 0);
    if (none || n != 0 || !strstr(dn_last_error(), "no prediction yet")) return 4;
    if (network_predict_image(net, make_empty_image(4, 4, 3))) return 5;
    free_network_ptr(net);
    free_network_ptr(net);
    if (network_width(net) != 0 || !strstr(dn_last_error(), "was freed")) return 6;
    free(net);
    free_network_ptr(NULL);
    free_detections(NULL, 0);
    do_nms_sort(NULL, 0, 80, .5f);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 9) return 64;
    const int failed = errors(argv[1], argv[2]);
    if (failed) return failed;
    network *net = load_network_custom(argv[1], argv[2], 1, 1);
    image im = make_image(atoi(argv[4]), atoi(argv[5]), atoi(argv[6]));
    const size_t values = (size_t)im.w * im.h * im.c;
    FILE *file = fopen(argv[3], "rb");
    if (!net || !im.data || !file || fread(im.data, sizeof(float), values, file) != values) return 65;
    fclose(file);
    image fitted = resize_image(im, network_width(net), network_height(net));
    if (!network_predict_ptr(net, fitted.data)) return 66;
    int n = 0;
    detection *dets = get_network_boxes(net, im.w, im.h, (float)atof(argv[7]), .5f, NULL, 1, &n, 0);
    diounms_sort(dets, n, dets[0].classes, .45f, (NMS_KIND)atoi(argv[8]), .6f);
    for (int i = 0; i < n; ++i)
        for (int c = 0; c < dets[i].classes; ++c)
            if (dets[i].prob[c] > 0)
                printf("%d %.9g %.9g %.9g %.9g %.9g\n", c, dets[i].prob[c], dets[i].bbox.x, dets[i].bbox.y,
                       dets[i].bbox.w, dets[i].bbox.h);
    free_detections(dets, n);
    free_image(fitted);
    free_image(im);
    free_network_ptr(net);
    free(net);
    return 0;
}
