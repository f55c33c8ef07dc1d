"""What stands for a target's name. Apart from the catalog: the command line needs no tables to say what its default is."""

SOURCE = "source"  # names and shapes as they are
DEFAULT = "encoder"
AUTO = "auto"  # the fullest target for what the source holds
TF1_NAME = "tf1"  # the way back
