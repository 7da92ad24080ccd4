pub struct MemoryDisk;
