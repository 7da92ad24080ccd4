pub struct FaultDisk;
pub struct FaultPlan;
