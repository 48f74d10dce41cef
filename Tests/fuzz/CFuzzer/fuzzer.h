// libFuzzer's driver, for programs with a main of their own.
int LLVMFuzzerRunDriver(int *argc, char ***argv,
                        int (*callback)(const unsigned char *data, unsigned long size));
