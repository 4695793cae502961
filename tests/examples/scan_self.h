/* SPDX-License-Identifier: ISC */
#ifndef TESTS_EXAMPLES_SCAN_SELF_H
#define TESTS_EXAMPLES_SCAN_SELF_H

/*
 * Does the scanner find what is there, and tell where? A child takes one copy of a seed into locked
 * memory and one into its heap. Ends the test if the scanner fails, or cannot work here.
 */
void scan_self_test(void);

#endif
