METRICS = ("loss",)
