"""What stands for a target's name. Apart from the catalog: the command line needs no tables to say what its default is."""

DEFAULT = "encoder"
AUTO = "auto"  # the fullest target for what the source holds
TF1_NAME = "tf1"  # the way back
